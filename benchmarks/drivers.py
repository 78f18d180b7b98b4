"""What a driver does in a second, beside the official client that it is built on."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from operator import truediv
from typing import TypeAlias

import aiohttp.connector
import pusher
import pusher.requests
import pytest
import redis
import trustme
from pusher.aiohttp import AsyncIOBackend
from redis import asyncio as aredis
from tests.ports import free_port

from benchmarks.app import APP_ID, KEY, SECRET
from benchmarks.machine import two_cores
from benchmarks.report import Cell, Table
from benchmarks.servers import redis_server, serve
from broadcaster import BroadcastManager, Message
from broadcaster.drivers.base import Driver

__all__ = ["run"]

Send: TypeAlias = Callable[[], object]
Asend: TypeAlias = Callable[[], Awaitable[object]]
Rate: TypeAlias = Callable[[int], float]
"""Send so many messages; return how many that is in a second."""

_FLIGHTS = 50
_BATCH = 100
_DATA = {"order_id": 7, "carrier": "post", "price": "19.90", "address": {"city": "Berlin"}}
_MESSAGE = Message("OrderShipped", ("orders.7",), json.dumps(_DATA, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class _Race:
    """Ours and the bare client's way to do the same, so many messages in each round."""

    name: str
    bare: str
    count: int
    ours: Rate
    theirs: Rate


def run(*, quick: bool) -> list[Table]:
    """Measure the drivers `pusher` and `redis`, one message and fifty in flight, in both worlds."""
    rounds, share = (3, 4) if quick else (9, 1)
    with two_cores() as core, asyncio.Runner() as runner:
        port = free_port()
        with serve(port, core):
            plain = _table("pusher, HTTP", _pusher_races(port, runner), rounds, share)
        with _trusted_certificate() as certificate, serve(port, core, f"--tls-cert={certificate}"):
            secure = _table("pusher, HTTPS", _pusher_races(port, runner, tls=True), rounds, 2 * share)
        with redis_server() as port:
            published = _table("redis", _redis_races(port, runner), rounds, share)
    return [plain, secure, published]


@contextmanager
def _trusted_certificate() -> Iterator[str]:
    """Make a certificate for this machine that every client here trusts, and yield its file."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        trusted, certificate = f"{folder}/trusted.pem", f"{folder}/certificate.pem"
        authority.cert_pem.write_to_path(trusted)
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        patch.setenv("SSL_CERT_FILE", trusted)
        # The SDK trusts a bundle of its own where it blocks; elsewhere what aiohttp has read by now.
        patch.setattr(pusher.requests, "CERT_PATH", trusted)
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(trusted)  # noqa: SLF001
        yield certificate


def _table(driver: str, races: Iterator[_Race], rounds: int, share: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for race in races:
        # Turn about, so that whatever else the machine does falls on both.
        pairs = [(race.ours(race.count // share), race.theirs(race.count // share)) for _ in range(rounds)]
        ours, theirs = zip(*pairs, strict=True)
        faster = list(map(truediv, ours, theirs))
        ratio = f"{statistics.median(faster):.2f} [{min(faster):.2f}-{max(faster):.2f}]"
        rows.append((race.name, statistics.median(ours), race.bare, statistics.median(theirs), ratio))
    columns = ("driver", "sends/s", "beside", "sends/s", "times as fast")
    return Table(f"drivers: {driver}, {len(_MESSAGE.data)} bytes of data", columns, rows)


def _pusher_races(port: int, runner: asyncio.Runner, *, tls: bool = False) -> Iterator[_Race]:
    options = {"app_id": APP_ID, "key": KEY, "secret": SECRET, "host": "127.0.0.1", "port": port}
    sdk = pusher.Pusher(**options, ssl=tls)
    asdk = pusher.Pusher(**options, ssl=tls, backend=AsyncIOBackend)
    with _driver("pusher", {**options, "scheme": "https" if tls else "http"}, runner) as driver:

        def send() -> None:
            driver.deliver(_MESSAGE)

        async def asend() -> None:
            await driver.adeliver(_MESSAGE)

        def trigger() -> object:
            return sdk.trigger(["orders.7"], "OrderShipped", _DATA)

        async def atrigger() -> object:
            return await asdk.trigger(["orders.7"], "OrderShipped", _DATA)

        yield _Race("deliver, 1", "Pusher.trigger, 1", 600, _one_by_one(send), _one_by_one(trigger))
        yield _Race("deliver, 50", "Pusher.trigger, 50", 600, _threads(send), _threads(trigger))
        yield _Race(
            "adeliver, 1",
            "asyncio backend, 1",
            600,
            _awaited(asend, 1, runner),
            _awaited(atrigger, 1, runner),
        )
        yield _Race(
            "adeliver, 50",
            "asyncio backend, 50",
            1_000,
            _awaited(asend, _FLIGHTS, runner),
            _awaited(atrigger, _FLIGHTS, runner),
        )
        batch = [{"channel": "orders.7", "name": "OrderShipped", "data": json.dumps(_DATA)}] * 10
        yield _Race(
            f"deliver_many, {_BATCH}",
            "Pusher.trigger_batch, 10",
            2_000,
            _many(driver),
            _batches(lambda: sdk.trigger_batch(batch, already_encoded=True), len(batch)),
        )
    sdk._pusher_client.http.session.close()  # noqa: SLF001 - it closes nothing itself


def _redis_races(port: int, runner: asyncio.Runner) -> Iterator[_Race]:
    # What the driver publishes, ready made.
    payload = b'{"event":"OrderShipped","data":%b,"socket":null}' % _MESSAGE.data.encode()
    client = redis.Redis("127.0.0.1", port)
    aclient = aredis.Redis(host="127.0.0.1", port=port, max_connections=_FLIGHTS)
    with _driver("redis", {"host": "127.0.0.1", "port": port}, runner) as driver:

        def send() -> None:
            driver.deliver(_MESSAGE)

        async def asend() -> None:
            await driver.adeliver(_MESSAGE)

        def publish() -> object:
            return client.publish("orders.7", payload)

        async def apublish() -> object:
            return await aclient.publish("orders.7", payload)

        def pipeline() -> object:
            with client.pipeline(transaction=False) as commands:
                for _ in range(_BATCH):
                    commands.publish("orders.7", payload)
                return commands.execute()

        yield _Race("deliver, 1", "Redis.publish, 1", 8_000, _one_by_one(send), _one_by_one(publish))
        yield _Race("deliver, 50", "Redis.publish, 50", 8_000, _threads(send), _threads(publish))
        yield _Race(
            "adeliver, 1",
            "asyncio publish, 1",
            6_000,
            _awaited(asend, 1, runner),
            _awaited(apublish, 1, runner),
        )
        yield _Race(
            "adeliver, 50",
            "asyncio publish, 50",
            6_000,
            _awaited(asend, _FLIGHTS, runner),
            _awaited(apublish, _FLIGHTS, runner),
        )
        yield _Race(
            f"deliver_many, {_BATCH}", "Redis.publish, 1", 20_000, _many(driver), _one_by_one(publish)
        )
        yield _Race(
            f"deliver_many, {_BATCH}", "bare pipeline", 20_000, _many(driver), _batches(pipeline, _BATCH)
        )
    client.close()
    runner.run(_closed(aclient))


@contextmanager
def _driver(kind: str, options: dict[str, object], runner: asyncio.Runner) -> Iterator[Driver]:
    broadcast = BroadcastManager.from_dict({"driver": kind, "drivers": {kind: options}})
    yield broadcast.driver()
    runner.run(broadcast.aclose())


async def _closed(client: aredis.Redis) -> None:
    await client.aclose()


def _one_by_one(send: Send) -> Rate:
    def rate(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            send()
        return count / (time.perf_counter() - started)

    return rate


def _threads(send: Send) -> Rate:
    def several(times: int) -> None:
        for _ in range(times):
            send()

    def rate(count: int) -> float:
        with ThreadPoolExecutor(_FLIGHTS) as threads:
            started = time.perf_counter()
            for done in [threads.submit(several, count // _FLIGHTS) for _ in range(_FLIGHTS)]:
                done.result()
            return count // _FLIGHTS * _FLIGHTS / (time.perf_counter() - started)

    return rate


def _awaited(asend: Asend, flights: int, runner: asyncio.Runner) -> Rate:
    async def several(times: int) -> None:
        for _ in range(times):
            await asend()

    async def all_of_them(count: int) -> float:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(flights):
                group.create_task(several(count // flights))
        return count // flights * flights / (time.perf_counter() - started)

    return lambda count: runner.run(all_of_them(count))


def _many(driver: Driver) -> Rate:
    messages: Sequence[Message] = [_MESSAGE] * _BATCH
    return _batches(lambda: driver.deliver_many(messages), _BATCH)


def _batches(send: Send, size: int) -> Rate:
    one_by_one = _one_by_one(send)
    return lambda count: one_by_one(count // size) * size
