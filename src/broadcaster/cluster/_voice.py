"""One connection that publishes."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from broadcaster.cluster._again import LONGEST, run_again
from broadcaster.cluster._backlog import Backlog
from broadcaster.cluster._redis_link import Address, Link, Links, Moving, Refusal

__all__ = ["Said", "Speaking", "Voice"]

_AT_ONCE = 500
_REUNION = 2 * LONGEST
"""Seconds in which the other nodes find Redis again as well, and subscribe: it keeps nothing for them."""


class Said(NamedTuple):
    """What is said on a *topic*."""

    topic: str
    payload: bytes


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
        self.backlog: Backlog[Said] = Backlog()
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
        self.backlog.keep_nobody()

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
            if isinstance(answer, Moving):
                self._speaking.moved(said)
            elif isinstance(answer, Refusal):
                self._speaking.refused(answer)
