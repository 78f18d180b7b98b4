"""Three nodes, the Redis between them, and what can happen to each."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.deploy.nodes import Node
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.server.clients import plain
from tests.soak.crowd import KEPT

__all__ = ["Group"]

_NODES = 3
_DRAIN = 90.0
"""Seconds that a node may take to let its clients go."""


class Group:
    """Nodes as processes, each of which reaches Redis through a proxy of its own; a context manager.

    What it does to a node or to Redis waits until it is done.
    """

    def __init__(self, folder: Path) -> None:
        self._running = ExitStack()
        self._redis = RedisServer(folder)
        self._proxies: list[Proxy] = []
        self._nodes: list[Node] = []
        self.exits: list[int | None] = []
        """With what each node ended that was told to."""

    @property
    def ports(self) -> list[int]:
        """Where the nodes are, running or not."""
        return [node.port for node in self._nodes]

    @property
    def said(self) -> str:
        """What nodes wrote until they ended."""
        return "".join(node.said for node in self._nodes)

    async def is_ready(self) -> bool:
        """Whether every node hears the others."""
        return all([await asyncio.to_thread(_is_ready, port) for port in self.ports])

    def kill(self, number: int) -> None:
        self._nodes[number].end(signal.SIGKILL)

    def drain(self, number: int) -> None:
        self.exits.append(self._nodes[number].end(signal.SIGTERM, seconds=_DRAIN))

    def start(self, number: int) -> None:
        self._nodes[number].start()

    def stop_redis(self, _: int) -> None:
        self._redis.stop()

    def start_redis(self, _: int) -> None:
        self._redis.start()

    def cut(self, number: int) -> None:
        """Let Redis refuse a node."""
        self._proxies[number].stop()

    def mend(self, number: int) -> None:
        self._proxies[number].start()

    def silence(self, number: int) -> None:
        """Let nothing pass between Redis and a node, which is not told so."""
        self._proxies[number].stall()

    def resume(self, number: int) -> None:
        self._proxies[number].resume()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self._redis)
            for number in range(1, _NODES + 1):
                self._proxies.append(proxy := starting.enter_context(Proxy(self._redis.port)))
                node = Node(number, self._redis.url(proxy.port), history=(f"{KEPT}*",))
                self._nodes.append(node)
                starting.callback(node.end, signal.SIGKILL)
                node.start()
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()


def _is_ready(port: int) -> bool:
    try:
        return plain(port, "GET", "/readyz").status == 200
    except OSError:
        return False
