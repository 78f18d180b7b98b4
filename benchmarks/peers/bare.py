"""Bare servers in Python: a library's own way to send to many, and as little around it as will do.

Their clients send `subscribe CHANNEL`, which is answered, or `publish CHANNEL TEXT`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import dialects
from benchmarks.publishers import over_websocket
from benchmarks.running import Running, Server, free_port, listening

__all__ = ["INSTALLED", "WEBSOCKETS"]

WEBSOCKETS = "websockets, broadcast()"


@contextmanager
def _bare(core: int | None, *, script: str) -> Iterator[Running]:
    port = free_port()
    path = Path(__file__).with_name(script)
    with (
        listening([sys.executable, str(path), str(port)], port, core) as pid,
        over_websocket(port) as publish,
    ):
        yield Running(port, [pid], dialects.bare, publish)


INSTALLED: dict[str, Server] = {
    WEBSOCKETS: partial(_bare, script="with_websockets.py"),
    "Starlette on uvicorn": partial(_bare, script="with_starlette.py"),
}
