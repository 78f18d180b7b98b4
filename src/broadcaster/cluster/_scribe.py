"""One connection that keeps histories."""

from __future__ import annotations

import asyncio
from typing import Protocol

from broadcaster.cluster._again import run_again
from broadcaster.cluster._agenda import Agenda
from broadcaster.cluster._annals import Annals
from broadcaster.cluster._asks import Ask, nothing, say
from broadcaster.cluster._redis_link import Address, Link, Links

__all__ = ["Scribe", "Writing"]


class Writing(Protocol):
    """What a scribe tells."""

    def lost(self, scribe: Scribe, error: OSError) -> None:
        """Note that *scribe* can record nothing now, nor look at anything."""

    def well(self) -> None:
        """Note that one can again."""


class Scribe:
    """Says at one *home* what is on its *agenda*, and what it could not once it can; *writing* is told."""

    def __init__(
        self, links: Links, home: Address, annals: Annals, agenda: Agenda, writing: Writing, *, seconds: float
    ) -> None:
        self.home = home
        self.agenda = agenda
        self.is_well = False
        """Whether it is connected, and understood."""
        self._links = links
        self._annals = annals
        self._writing = writing
        self._seconds = seconds
        self._idle = asyncio.Event()
        self._task = asyncio.create_task(
            run_again(self._run, self._lose, what="journal"), name="broadcaster-journal"
        )

    async def finish(self) -> None:
        """Return when all is said, or nothing can be."""
        while self.agenda and not self.agenda.is_lost:
            self._idle.clear()
            await self._idle.wait()

    async def aclose(self) -> None:
        """Say nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.agenda.close()

    async def _run(self) -> None:
        link = self._links.link_to(self.home)
        try:
            await link.open()
            await say(link, [Ask(command, nothing) for command in self._annals.load()])
            self.agenda.followed.look_again()
            while True:
                self.agenda.more.clear()
                if asks := self.agenda.asks():
                    await say(link, asks)
                    self._be_well()
                else:
                    self._be_well()
                    self._idle.set()
                    await self._wait(link)
        finally:
            self.is_well = False
            await link.close()

    def _be_well(self) -> None:
        if not self.is_well:
            self.is_well, self.agenda.is_lost = True, False
            self._writing.well()

    def _lose(self, error: OSError) -> None:
        self.agenda.give_up()
        self._idle.set()
        self._writing.lost(self, error)

    async def _wait(self, link: Link) -> None:
        """Wait until there is something to say; meanwhile see that somebody listens."""
        try:
            async with asyncio.timeout(self._seconds):
                await self.agenda.more.wait()
        except TimeoutError:
            await say(link, [Ask(("PING",), nothing)])
