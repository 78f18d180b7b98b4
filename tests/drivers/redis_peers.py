"""Real Redis as the contract of drivers wants it: with somebody who subscribed, and proxies that can fail."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from redis.client import PubSub
from redis.crc import key_slot

from broadcaster.drivers.redis import RedisDriver
from broadcaster.testing.contracts.drivers import Received
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import PASSWORD, RedisServer, eventually

PREFIX = "laravel-database-"
MARKER = "marker"


class RedisPeer:
    """The servers of one Redis, a proxy before each; *options* are what a driver needs to find them."""

    socket_id = "8_xVQG3YbPAAAA"
    secrets = (PASSWORD,)

    def __init__(self, servers: Sequence[RedisServer], proxies: Sequence[Proxy], **options: Any) -> None:
        self.proxies = proxies
        self._options = {"password": PASSWORD, "prefix": PREFIX, **options}
        self._clients = [server.client() for server in servers]
        self._listeners = [client.pubsub() for client in self._clients]
        self._received: list[Received] = []

    def driver(
        self, *, timeout: float | None = None, retries: int | None = None, **options: Any
    ) -> RedisDriver:
        if timeout is not None:
            options |= {"connect_timeout": timeout, "read_timeout": timeout}
        if retries is not None:
            options["retries"] = retries
        return RedisDriver(**{**self._options, **options})

    def listen(self, *channels: str) -> None:
        for listener in self._listeners:
            listener.subscribe(MARKER)
        for channel in channels:
            self._subscribe(PREFIX + channel)
        self._drain()

    def received(self, count: int) -> list[Received]:
        def enough() -> bool:
            self._drain()
            return len(self._received) >= count

        eventually(enough)
        return self._received

    def stop(self) -> None:
        for proxy in self.proxies:
            proxy.stop()

    def start(self) -> None:
        for proxy in self.proxies:
            proxy.start()

    def stall(self) -> None:
        for proxy in self.proxies:
            proxy.stall()

    def resume(self) -> None:
        for proxy in self.proxies:
            proxy.resume()

    def garble(self) -> None:
        for proxy in self.proxies:
            proxy.garble()

    def close(self) -> None:
        """Let go of the servers, and leave the proxies as they were."""
        self.start()
        for listener in self._listeners:
            listener.close()

    def _subscribe(self, channel: str) -> None:
        # Any one node hears what is published on the others.
        self._listeners[0].subscribe(channel)

    def _drain(self) -> None:
        """Read all that was published before now: what every server says now comes after it."""
        token = os.urandom(8).hex()
        for client in self._clients:
            client.publish(MARKER, token)
        for listener in self._listeners:
            self._read_until(listener, token)

    def _read_until(self, listener: PubSub, token: str) -> None:
        missing = len(self._clients)
        while missing:
            got = eventually(lambda: listener.get_message(timeout=1.0))
            if got["type"] not in {"message", "smessage"}:
                continue
            if got["channel"] != MARKER.encode():
                self._received.append(read(got["channel"], got["data"]))
            elif got["data"] == token.encode():
                missing -= 1


class ShardedPeer(RedisPeer):
    """A cluster whose subscribers sit where their channels are."""

    def _subscribe(self, channel: str) -> None:
        owner = key_slot(channel.encode()) * len(self._listeners) // 16_384
        self._listeners[owner].ssubscribe(channel)

    def listen_at(self, node: int, channel: str) -> None:
        """Subscribe at another node, to which the channel has moved."""
        self._listeners[node].ssubscribe(PREFIX + channel)
        self._drain()


def read(channel: bytes, text: bytes) -> Received:
    """Read what was published, which has the shape that Laravel gives it."""
    published = json.loads(text)
    assert list(published) == ["event", "data", "socket"]
    data, socket = published["data"], published["socket"]
    if isinstance(data, dict):
        assert list(data)[-1] == "socket"
        assert data.pop("socket") == socket
    return Received(published["event"], channel.decode().removeprefix(PREFIX), data, socket)
