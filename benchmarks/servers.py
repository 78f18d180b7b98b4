"""Our server and the limit: each in a process of its own, to be measured from outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.ports import free_port

from benchmarks import dialects
from benchmarks.app import APP_ID, KEY, SECRET, TEXT_SIZE
from benchmarks.compiled import compiled
from benchmarks.process import LineProcess
from benchmarks.publishers import over_http, over_redis
from benchmarks.running import Running, Server, listening

__all__ = [
    "ASGI",
    "JOINED",
    "LIMIT",
    "OURS",
    "OURS_ON_REDIS",
    "SERVERS",
    "TWO_NODES",
    "redis",
    "redis_server",
    "serve",
]

LIMIT = "limit: a loop of send()"
JOINED = "limit, joined: one send() for many"
OURS = "broadcaster serve"
OURS_ON_REDIS = "broadcaster serve, from Redis"
TWO_NODES = "broadcaster serve, by another node"
ASGI = "AsgiServer on uvicorn"


def serve(port: int, core: int | None, *options: str) -> AbstractContextManager[int]:
    """Run `broadcaster serve`, without limits to how fast clients may speak; yield its pid."""
    unlimited = {"client_events_per_second": 0, "frames_per_second": 0}
    app = {"id": APP_ID, "key": KEY, "secret": SECRET, "limits": unlimited}
    command = [sys.executable, "-m", "broadcaster", "serve", f"--port={port}", *options]
    return listening(command, port, core, BROADCAST_APPS=json.dumps([app]))


def redis(port: int, core: int | None) -> AbstractContextManager[int]:
    """Run a Redis that keeps nothing; yield its pid."""
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return listening(["redis-server", "--port", str(port), *options], port, core)


@contextmanager
def redis_server() -> Iterator[int]:
    """Run one on any core; yield its port."""
    port = free_port()
    with redis(port, None):
        yield port


@contextmanager
def _limit(core: int | None, *, joined: bool = False) -> Iterator[Running]:
    # Connections are counted as they come: a channel is named for its first and its number of subscribers.
    with LineProcess([compiled("limit")], core=core) as process:

        def publish(channel: str, datas: Sequence[str]) -> None:
            first, count = channel.split(".")[-2:]
            for _ in range(1 if joined else len(datas)):
                process.say(f"push {len(datas) if joined else 1} {TEXT_SIZE + 4} {first} {count}")

        yield Running(process.answer()["port"], [process.pid], lambda _: [b"", b""], publish)


@contextmanager
def _on_http(core: int | None) -> Iterator[Running]:
    port = free_port()
    with serve(port, core) as pid, over_http(port) as publish:
        yield Running(port, [pid], dialects.pusher, publish)


@contextmanager
def _on_redis(core: int | None) -> Iterator[Running]:
    port, redis_port = free_port(), free_port()
    with (
        redis(redis_port, core) as redis_pid,
        serve(port, core, f"--redis=redis://127.0.0.1:{redis_port}") as pid,
        over_redis(redis_port) as publish,
    ):
        yield Running(port, [pid, redis_pid], dialects.pusher, publish)


@contextmanager
def _two_nodes(core: int | None) -> Iterator[Running]:
    # Events are posted to one node, and the clients are on the other.
    port, other_port, redis_port = free_port(), free_port(), free_port()
    bus = f"--redis=redis://127.0.0.1:{redis_port}"
    with (
        redis(redis_port, core) as redis_pid,
        serve(port, core, bus) as pid,
        serve(other_port, core, bus) as other_pid,
        over_http(other_port) as publish,
    ):
        yield Running(port, [pid, other_pid, redis_pid], dialects.pusher, publish)


@contextmanager
def _asgi(core: int | None) -> Iterator[Running]:
    port = free_port()
    options = [f"--port={port}", "--log-level=critical", "--backlog=4096"]
    options += ["--ws-per-message-deflate=false", "--ws-ping-interval=3600"]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.asgi_app:server", *options]
    with listening(command, port, core) as pid, over_http(port) as publish:
        yield Running(port, [pid], dialects.pusher, publish)


SERVERS: dict[str, Server] = {
    LIMIT: _limit,
    JOINED: partial(_limit, joined=True),
    OURS: _on_http,
    OURS_ON_REDIS: _on_redis,
    TWO_NODES: _two_nodes,
    ASGI: _asgi,
}
"""The limit, with one send() for each frame or one for all that are sent at once; and our servers."""
