"""Waiting for what comes in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from broadcaster.client.errors import FellBehind

__all__ = ["Listener"]

T = TypeVar("T")


class Listener(Generic[T]):
    """An async iterator over what came in since it was made; a context manager that ends it.

    It goes on over reconnections. It raises what keeps its channel from being heard: `Forbidden`,
    `ConnectionRefused`, or `FellBehind` when *waiting* were not taken in time. It ends when the client does.
    """

    def __init__(self, channel: str, *, waiting: int, forget: Callable[[Listener[T]], object]) -> None:
        self._channel = channel
        self._most = waiting
        self._forget = forget
        self._waiting: deque[T] = deque()
        self._changed = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False

    def take(self, value: T) -> None:
        """Add *value*; the client calls it."""
        if self._error is not None or self._ended:
            return
        if len(self._waiting) >= self._most:
            self.fail(FellBehind(self._channel, self._most))
            return
        self._waiting.append(value)
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Raise *error* once everything before it has been taken; the client calls it."""
        self._error = error
        self._changed.set()

    def end(self) -> None:
        """Stop listening; what waits can still be taken."""
        self._ended = True
        self._forget(self)
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
