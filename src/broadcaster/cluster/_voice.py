"""One connection that publishes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol, TypeAlias

from broadcaster.cluster._again import LONGEST, run_again
from broadcaster.cluster._redis_link import Address, Link, Links, Moved, Refusal

__all__ = ["Backlog", "Said", "Speaking", "Voice"]

_logger = logging.getLogger("broadcaster.server")

_AT_ONCE = 500
_REUNION = 2 * LONGEST
"""Seconds in which the other nodes find Redis again as well, and subscribe: it keeps nothing for them."""

Said: TypeAlias = tuple[str, bytes]
"""A topic, and what is said there."""


class Backlog:
    """What is still to be said, the oldest first."""

    def __init__(self) -> None:
        self._unsaid: deque[Said] = deque()
        self.size = 0
        """Of all payloads, in bytes."""
        self._added = self._gone = 0
        self._awaited: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._unsaid)

    def add(self, said: Said) -> None:
        """Say it after all others."""
        self._unsaid.append(said)
        self._added += 1
        self.size += len(said[1])

    def first(self, most: int) -> list[Said]:
        """Return what is to be said next."""
        return list(islice(self._unsaid, most))

    def drop(self) -> Said:
        """Forget the oldest."""
        said = self._unsaid.popleft()
        self._gone += 1
        self.size -= len(said[1])
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

    def is_next(self, said: Said) -> bool:
        """Whether it is this very thing that is said next."""
        return bool(self._unsaid) and self._unsaid[0] is said

    def take(self, which: Callable[[str], bool]) -> list[Said]:
        """Forget all on the topics that *which* says, and return it."""
        unsaid, self._unsaid, self.size = self._unsaid, deque(), 0
        self._gone = self._added
        self.keep_nobody()
        taken: list[Said] = []
        for said in unsaid:
            taken.append(said) if which(said[0]) else self.add(said)
        return taken


class Speaking(Protocol):
    """What a voice tells."""

    def moved(self, said: Said) -> None:
        """Say it elsewhere: its topic does not live here any more."""

    def refused(self, answer: Refusal) -> None:
        """Note that Redis does not publish it, and would say the same the next time."""

    def failed(self) -> None:
        """Note that nothing can be said now."""


class Voice:
    """Says at one *home* what is in its backlog, and what it could not once it can; *speaking* is told."""

    def __init__(self, links: Links, home: Address, speaking: Speaking, *, seconds: float) -> None:
        self.home = home
        self.backlog = Backlog()
        self.is_lost = False
        """Whether nothing can be said, and could not at the last attempt."""
        self._links = links
        self._verb = "SPUBLISH" if links.servers.is_sharded else "PUBLISH"
        self._speaking = speaking
        self._seconds = seconds
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._task = asyncio.create_task(
            run_again(self._run, self._lose, what="bus"), name="broadcaster-bus-publisher"
        )

    def say(self, said: Said) -> None:
        """Publish it."""
        self.backlog.add(said)
        self._idle.clear()
        self._more.set()

    def told(self) -> asyncio.Future[None] | None:
        """Return what is done when all is said that is to be said now; None where nothing is, or can be."""
        return self.backlog.emptied() if self.backlog and not self.is_lost else None

    async def finish(self) -> None:
        """Return when all is said, or nothing can be."""
        while self.backlog and not self.is_lost:
            await self._idle.wait()

    async def aclose(self) -> None:
        """Say nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        link = self._links.link_to(self.home)
        try:
            await link.open()
            if self.is_lost:
                await asyncio.sleep(_REUNION)
            self.is_lost = False
            self._idle.clear()
            while True:
                while self.backlog:
                    await self._say(link)
                self._idle.set()
                self._more.clear()
                await self._wait(link)
        finally:
            await link.close()

    def _lose(self, error: OSError) -> None:
        self.is_lost = True
        self._idle.set()
        self.backlog.keep_nobody()
        self._speaking.failed()

    async def _wait(self, link: Link) -> None:
        """Wait until there is something to say; meanwhile see that somebody listens."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._more.wait()
        except TimeoutError:
            await link.send(("PING",))
            await link.read()

    async def _say(self, link: Link) -> None:
        batch = self.backlog.first(_AT_ONCE)
        await link.send(*((self._verb, *said) for said in batch))
        for said in batch:
            answer = await link.read()
            # One that was lost meanwhile, or has moved, is not here any more.
            if not self.backlog.is_next(said):
                continue
            self.backlog.drop()
            if isinstance(answer, Moved):
                self._speaking.moved(said)
            elif isinstance(answer, Refusal):
                self._speaking.refused(answer)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
