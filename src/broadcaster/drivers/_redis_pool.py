"""How many connections to one server there may be, and those that wait for work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeAlias

__all__ = ["MOST_CONNECTIONS", "Connection", "LoopRoom", "Pool", "ThreadRoom"]

MOST_CONNECTIONS = 50

Connection: TypeAlias = Any
"""One of threads or of an event loop; both have the same methods."""


class Pool:
    """The idle connections to one server, and the *room* for those in use."""

    def __init__(self, room: Any) -> None:
        self.room = room
        self.used = time.monotonic()
        self._idle: deque[tuple[float, Connection]] = deque()

    def take(self) -> Connection | None:
        """Return the connection that was in use last; None is to open one."""
        self.used = time.monotonic()
        try:
            return self._idle.pop()[1]
        except IndexError:
            return None

    def put(self, connection: Connection) -> None:
        """Keep *connection* for the next."""
        self.used = time.monotonic()
        self._idle.append((self.used, connection))

    def idle_since(self, moment: float) -> Iterator[Connection]:
        """Yield the connections that nobody used after *moment*, and forget them."""
        with suppress(IndexError):
            while self._idle[0][0] <= moment:
                yield self._idle.popleft()[1]


class ThreadRoom:
    """Room for so many connections and no more."""

    def __init__(self) -> None:
        semaphore = threading.Semaphore(MOST_CONNECTIONS)
        self.acquire, self.release = semaphore.acquire, semaphore.release


class LoopRoom:
    """Room for so many connections and no more, on an event loop."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(MOST_CONNECTIONS)
        self.release = self._semaphore.release

    async def acquire(self, *, timeout: float) -> bool:  # noqa: ASYNC109 - as threads' semaphores have it
        """Wait for room, *timeout* seconds at most; return whether there is some."""
        if not self._semaphore.locked():
            return await self._semaphore.acquire()
        try:
            async with asyncio.timeout(timeout):
                return await self._semaphore.acquire()
        except TimeoutError:
            return False
