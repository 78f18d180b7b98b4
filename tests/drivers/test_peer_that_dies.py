"""A peer dies in the middle of thousands of sends: both sides are counted, nothing is lost in silence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from websockets.exceptions import ConnectionClosed

from broadcaster import DeliveryError, Message
from broadcaster.drivers.base import Driver
from broadcaster.drivers.pusher import PusherDriver
from broadcaster.drivers.redis import RedisDriver
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import PASSWORD, RedisServer
from tests.ports import free_port
from tests.server.clients import APP, SECONDS, client

SENDS = 4_000
DEATHS = (1_000, 2_400)
"""After so many sends the peer dies; it is back once ten sends have failed."""
FLIGHTS = 20


class Mortal(Protocol):
    """A peer that can die for real; `heard` counts what reached a subscriber of it, by number."""

    heard: Counter[int]

    def driver(self) -> Driver: ...

    def kill(self) -> None: ...

    def revive(self) -> None: ...

    def finish(self) -> None:
        """Wait for what is on the way to the subscriber."""


class Tally:
    """What the sending side knows: which numbers were delivered, and which were an error."""

    def __init__(self, peer: Mortal) -> None:
        self._peer = peer
        self._deaths = list(DEATHS)
        self._failed_before = 0
        self._is_dead = False
        self.delivered: list[int] = []
        self.failed: list[int] = []

    def before(self, number: int) -> None:
        """Kill the peer when its time has come, and bring it back when that was noticed."""
        if self._deaths and number >= self._deaths[0] and not self._is_dead:
            self._deaths.pop(0)
            self._is_dead, self._failed_before = True, len(self.failed)
            self._peer.kill()
        elif self._is_dead and len(self.failed) >= self._failed_before + 10:
            self._is_dead = False
            self._peer.revive()

    def note(self, number: int, error: DeliveryError) -> None:
        """Note a send that failed; a peer that is gone may be back later."""
        assert error.retryable, error
        self.failed.append(number)


def send_all(driver: Driver, tally: Tally) -> None:
    for number in range(SENDS):
        tally.before(number)
        try:
            driver.deliver(message(number))
        except DeliveryError as error:
            tally.note(number, error)
        else:
            tally.delivered.append(number)
    driver.close()


def asend_all(driver: Driver, tally: Tally) -> None:
    async def one_after_another(numbers: Iterator[int]) -> None:
        for number in numbers:
            tally.before(number)
            try:
                await driver.adeliver(message(number))
            except DeliveryError as error:
                tally.note(number, error)
            else:
                tally.delivered.append(number)

    async def all_of_them() -> None:
        numbers = iter(range(SENDS))
        async with asyncio.TaskGroup() as group:
            for _ in range(FLIGHTS):
                group.create_task(one_after_another(numbers))
        await driver.aclose()

    asyncio.run(all_of_them())


def message(number: int) -> Message:
    return Message("tick", ("feed",), json.dumps({"n": number}))


class OurServer:
    """`broadcaster serve` in a process that is killed as only SIGKILL kills."""

    def __init__(self) -> None:
        self.heard: Counter[int] = Counter()
        self._port = free_port()
        self._life: ExitStack = ExitStack()
        self.revive()

    def driver(self) -> PusherDriver:
        return PusherDriver(
            app_id=APP.id,
            key=APP.key,
            secret=APP.secret,
            host="127.0.0.1",
            port=self._port,
            scheme="http",
            retries=0,
        )

    def revive(self) -> None:
        variables = {"PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}
        command = [sys.executable, "-m", "broadcaster", "serve", "--port", str(self._port)]
        self._process = self._life.enter_context(
            subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
        )
        assert self._process.stderr is not None
        assert "listening" in self._process.stderr.readline()
        self._listener = threading.Thread(target=self._listen, args=[ready := threading.Event()])
        self._listener.start()
        assert ready.wait(SECONDS)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._listener.join(2 * SECONDS)
        self._life.close()

    def finish(self) -> None:
        self.kill()

    def _listen(self, ready: threading.Event) -> None:
        with client(self._port) as browser:
            browser.subscribe("feed")
            ready.set()
            try:
                while True:
                    self.heard[json.loads(browser.receive()["data"])["n"]] += 1
            except (ConnectionClosed, TimeoutError):
                pass


class Redis:
    """A Redis whose way is cut in the middle of whatever is on it.

    It is not killed itself: what it took and did not hand on yet would be gone, and nobody to blame.
    """

    def __init__(self, server: RedisServer, proxy: Proxy) -> None:
        self.heard: Counter[int] = Counter()
        self._port = proxy.port
        self.kill, self.revive = proxy.stop, proxy.start
        self._client = server.client()
        self._pubsub = self._client.pubsub()
        self._pubsub.subscribe("feed")
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def driver(self) -> RedisDriver:
        return RedisDriver(host="127.0.0.1", port=self._port, password=PASSWORD, retries=0)

    def finish(self) -> None:
        self._client.publish("feed", '{"data":{"n":-1}}')
        self._listener.join(2 * SECONDS)
        self._pubsub.close()

    def _listen(self) -> None:
        for heard in self._pubsub.listen():
            if heard["type"] == "message":
                number = json.loads(heard["data"])["data"]["n"]
                if number < 0:
                    return
                self.heard[number] += 1


@contextmanager
def mortal_redis(folder: Path) -> Iterator[Redis]:
    with RedisServer(folder) as server, Proxy(server.port) as proxy:
        yield Redis(server, proxy)


@contextmanager
def mortal_server(folder: Path) -> Iterator[OurServer]:
    peer = OurServer()
    try:
        yield peer
    finally:
        peer.kill()


@pytest.fixture(params=[mortal_server, mortal_redis])
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mortal]:
    with request.param(tmp_path) as peer:
        yield peer


@pytest.mark.parametrize("send", [send_all, asend_all])
def test_every_send_is_delivered_or_an_error(
    peer: Mortal, send: Callable[[Driver, Tally], None], record_property: Callable[[str, object], None]
) -> None:
    tally = Tally(peer)

    send(peer.driver(), tally)
    peer.finish()

    record_property(
        "counted", f"{len(tally.delivered)} delivered, {len(tally.failed)} errors, {peer.heard.total()} heard"
    )
    assert sorted([*tally.delivered, *tally.failed]) == list(range(SENDS))
    assert len(tally.failed) >= 10 * len(DEATHS)
    assert [number for number in tally.delivered if peer.heard[number] != 1] == []
    # What failed may have arrived all the same, once: its answer was lost.
    assert max(peer.heard.values()) == 1
