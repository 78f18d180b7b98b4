"""Bare servers in Python: a library's own way to send to many, and as little around it as will do.

Their clients send `subscribe CHANNEL`, which is answered, or `publish CHANNEL TEXT`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.ports import free_port

from benchmarks import dialects
from benchmarks.peers.getting import python
from benchmarks.peers.publishers import over_socketio, over_websocket
from benchmarks.running import Running, Server, listening
from benchmarks.servers import redis

__all__ = ["INSTALLED", "OTHERS", "STARLETTE", "WEBSOCKETS"]

WEBSOCKETS = "websockets, broadcast()"
STARLETTE = "Starlette on uvicorn"


def _command(script: str, port: int, *requirements: str) -> list[str]:
    interpreter = python(script, *requirements) if requirements else sys.executable
    return [interpreter, str(Path(__file__).with_name(f"{script}.py")), str(port)]


@contextmanager
def _bare(core: int | None, *, script: str, requirements: tuple[str, ...] = ()) -> Iterator[Running]:
    port = free_port()
    command = _command(script, port, *requirements)
    with listening(command, port, core) as pid, over_websocket(port) as publish:
        yield Running(port, [pid], dialects.bare, publish)


@contextmanager
def _socketio(core: int | None) -> Iterator[Running]:
    port = free_port()
    requirements = ("python-socketio==5.18.1", "uvicorn==0.54.0", "uvloop==0.23.0", "websockets==17.4")
    command = _command("with_socketio", port, *requirements)
    with listening(command, port, core) as pid, over_socketio(port) as publish:
        yield Running(port, [pid], dialects.socketio, publish)


@contextmanager
def _channels(core: int | None) -> Iterator[Running]:
    port, redis_port = free_port(), free_port()
    requirements = ("channels==4.3.2", "channels-redis==4.3.0", "daphne==4.2.3")
    command = _command("with_channels", port, *requirements)
    with (
        redis(redis_port, core) as redis_pid,
        listening([*command, str(redis_port)], port, core) as pid,
        over_websocket(port) as publish,
    ):
        yield Running(port, [pid, redis_pid], dialects.bare, publish)


INSTALLED: dict[str, Server] = {
    WEBSOCKETS: partial(_bare, script="with_websockets"),
    STARLETTE: partial(_bare, script="with_starlette"),
}
"""Those whose packages the tests of this project need anyway."""

OTHERS: dict[str, Server] = {
    "picows": partial(_bare, script="with_picows", requirements=("picows==2.3.1", "uvloop==0.23.0")),
    "socketify, publish()": partial(_bare, script="with_socketify", requirements=("socketify==0.0.31",)),
    "python-socketio on uvicorn": _socketio,
    "Django Channels on daphne, with Redis": _channels,
}
"""Those that are fetched."""
