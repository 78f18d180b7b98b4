"""Nodes of `broadcaster serve`, each a process of its own, that hear each other through one Redis."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broadcaster.protocol.limits import Limits
from tests.drivers.redis_servers import RedisServer
from tests.e2e.children import START, STOP, Child
from tests.ports import free_port
from tests.server.clients import APP, plain
from tests.waits import until

__all__ = ["Node", "clean_environment", "nodes", "number_of"]

SETTINGS = ("BROADCAST", "PUSHER", "REDIS")


def clean_environment() -> dict[str, str]:
    """Return the environment without any settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}


@dataclass
class Node:
    """One node, which tells its clients its *number* in place of some seconds of the activity timeout."""

    number: int
    redis_url: str
    per_address: int = 0
    port: int = field(default_factory=free_port)
    history: tuple[str, ...] = ()
    said: str = ""
    """What it said until it was ended."""
    _child: Child | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Where a proxy finds it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it hears the others."""
        limits = {
            "activity_timeout": Limits().activity_timeout + self.number,
            "connections_per_address": self.per_address,
        }
        app = {"id": APP.id, "key": APP.key, "secret": APP.secret, "limits": limits, "history": self.history}
        env = clean_environment() | {
            "BROADCAST_APPS": json.dumps([app]),
            "BROADCAST_SERVER_REDIS": self.redis_url,
        }
        command = [sys.executable, "-m", "broadcaster", "serve", "--trusted-proxy", "127.0.0.1", "--port"]
        self._child = Child(*command, str(self.port), env=env, stdout=None)
        self._child.hear(rf"listening on http://127\.0\.0\.1:{self.port}\b", seconds=START)
        until(lambda: plain(self.port, "GET", "/readyz").status == 200, seconds=START)

    def end(self, how: signal.Signals, *, seconds: float = STOP) -> int | None:
        """End it with the signal *how* and return its exit code; None if that has been done."""
        if self._child is None:
            return None
        child, self._child = self._child, None
        try:
            return child.end(how, seconds=seconds)
        finally:
            self.said += child.said


def number_of(established: Mapping[str, Any]) -> int:
    """Return the number of the node that has sent the frame *established*."""
    told = json.loads(established["data"])["activity_timeout"]
    assert isinstance(told, int)
    return told - Limits().activity_timeout


@contextmanager
def nodes(folder: Path, *, count: int = 2, per_address: int = 0) -> Iterator[list[Node]]:
    """Run some nodes, each of which lets so many connections in from one address; 0 for any number."""
    with ExitStack() as running:
        redis = running.enter_context(RedisServer(folder))
        found = [Node(number, redis.url(), per_address) for number in range(1, count + 1)]
        for node in found:
            running.callback(node.end, signal.SIGKILL)
            node.start()
        yield found
