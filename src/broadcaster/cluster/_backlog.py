"""What is still to be said to Redis, in order, and who waits until it is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

__all__ = ["Backlog"]


class _Saying(Protocol):
    @property
    def topic(self) -> str: ...

    @property
    def payload(self) -> bytes: ...


T = TypeVar("T", bound=_Saying)


class Backlog(Generic[T]):
    """What is still to be said, the oldest first."""

    def __init__(self) -> None:
        self._unsaid: deque[T] = deque()
        self.size = 0
        """Of all payloads, in bytes."""
        self._added = self._gone = 0
        self._awaited: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._unsaid)

    def __iter__(self) -> Iterator[T]:
        return iter(self._unsaid)

    @property
    def topics(self) -> set[str]:
        """Those on which there is something to say."""
        return {said.topic for said in self._unsaid}

    def add(self, said: T) -> None:
        """Say it after all others."""
        self._unsaid.append(said)
        self._added += 1
        self.size += len(said.payload)

    def first(self, most: int) -> list[T]:
        """Return what is to be said next."""
        return list(islice(self._unsaid, most))

    def drop(self) -> T:
        """Forget the oldest."""
        said = self._unsaid.popleft()
        self._gone += 1
        self.size -= len(said.payload)
        while self._awaited and self._awaited[0][0] <= self._gone:
            _settle(self._awaited.popleft()[1])
        return said

    def emptied(self) -> asyncio.Future[None]:
        """Return what is done when all that is here now is not any more, or nobody is to wait for that."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((self._added, future))
        return future

    def keep_nobody(self) -> None:
        """Let nobody wait any longer."""
        while self._awaited:
            _settle(self._awaited.popleft()[1])

    def is_next(self, said: T) -> bool:
        """Whether it is this very thing that is said next."""
        return bool(self._unsaid) and self._unsaid[0] is said

    def take(self, which: Callable[[str], bool]) -> list[T]:
        """Forget all on the topics that *which* says, and return it."""
        unsaid, self._unsaid, self.size = self._unsaid, deque(), 0
        self._gone = self._added
        taken: list[T] = []
        for said in unsaid:
            taken.append(said) if which(said.topic) else self.add(said)
        if self._unsaid:
            # Whoever waits does so for all that is left.
            self._awaited = deque((self._added, future) for _, future in self._awaited)
        else:
            self.keep_nobody()
        return taken


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
