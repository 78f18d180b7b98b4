"""The histories of a node, each kept at the home of its topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection
from contextlib import suppress

from broadcaster.cluster._again import run_again
from broadcaster.cluster._agenda import Agenda
from broadcaster.cluster._annals import Annals
from broadcaster.cluster._homes import follow_homes
from broadcaster.cluster._redis_link import Address, Links
from broadcaster.cluster._scribe import Scribe
from broadcaster.cluster.journal import Progress, Told

__all__ = ["Scribes"]

_logger = logging.getLogger("broadcaster.server")


class Scribes:
    """Has a scribe at each home of a topic, from when it is needed; *prefix* begins the name of a channel."""

    def __init__(self, links: Links, *, prefix: str, seconds: float) -> None:
        self._links = links
        self._servers = links.servers
        self._prefix = prefix
        self._seconds = seconds
        self._annals = Annals(prefix, is_sharded=self._servers.is_sharded)
        self.told_to: Told = _nobody
        """Hears what is new on topics that are followed."""
        self._scribes: dict[Address, Scribe] = {}
        self._homeless = self._agenda()
        """Of what waits for a home."""
        self._moved: set[str] = set()
        self._moved_before: set[str] = set()
        self._astray = asyncio.Event()
        self._placed = asyncio.Event()
        self._placed.set()
        self._was_away = False
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_connected(self) -> bool:
        """Whether all that is needed can be said, as far as is known."""
        return not (self._was_away or self._homeless.is_in_use) and self._are_well

    @property
    def agendas(self) -> list[Agenda]:
        """All that there are."""
        return [self._homeless, *(scribe.agenda for scribe in self._scribes.values())]

    def at(self, topic: str) -> Agenda:
        """Return the agenda of what is said at the home of *topic*, and have it said."""
        home = self._home(topic)
        if self._servers.is_sharded and self._task is None:
            self._task = asyncio.create_task(
                run_again(self._run, self._unlocated, what="journal"), name="broadcaster-journal-follow"
            )
        if home is None:
            self._placed.clear()
            self._astray.set()
            return self._homeless
        if home not in self._scribes:
            self._scribes[home] = Scribe(
                self._links, home, self._annals, self._agenda(), self, seconds=self._seconds
            )
        return self._scribes[home].agenda

    def find(self, topic: str) -> Agenda:
        """Return the agenda that has *topic*, if any has."""
        home = self._home(topic)
        return self._homeless if home is None or home not in self._scribes else self._scribes[home].agenda

    def told(self) -> list[Awaitable[None]]:
        """See `Journal.told()`."""
        if self._homeless and not self._homeless.is_lost:
            return [self._are_told()]
        return self._told()

    def follow(self, *, moved: bool) -> None:
        """Have all that is said of each topic said where it lives now; see `Following.follow()`."""
        if self._moved & self._moved_before:
            # It takes its time.
            self._homeless.keep_nobody()
        self._moved_before, self._moved = self._moved, set()
        for home, scribe in [*self._scribes.items()] if moved else ():
            topics = [topic for topic in scribe.agenda.topics if self._home(topic) != home]
            self._give_away(scribe.agenda, topics)
        self._give_away(self._homeless, self._homeless.topics)
        self._homeless.is_lost = False
        if self._homeless.is_in_use:
            self._give_up("no server of the cluster has some of the slots")
        self._placed.set()
        for home, scribe in [*self._scribes.items()]:
            if not scribe.agenda.is_in_use and home not in self._servers.homes:
                del self._scribes[home]
                self._close_later(scribe)
        if self._moved_before:
            # Whether they stay is seen soon.
            self._astray.set()
        self.well()

    def lost(self, scribe: Scribe, error: OSError) -> None:
        """See `Writing.lost()`; one that nobody needs may be."""
        if self._is_needed(scribe):
            self._away(f"Redis is away ({error})")
        self._astray.set()

    def well(self) -> None:
        """See `Writing.well()`; when all are, histories go on."""
        if self._was_away and self._are_well and not self._homeless.is_in_use and not self._moved_before:
            self._was_away = False
            _logger.warning("Redis is back: histories go on")

    async def aclose(self, seconds: float) -> None:
        """Say what can be said, for up to *seconds*, and stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._placed.set()
        for scribe in self._scribes.values():
            self._close_later(scribe)
        self._scribes.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    @property
    def _are_well(self) -> bool:
        return all(scribe.is_well for scribe in self._scribes.values() if self._is_needed(scribe))

    def _is_needed(self, scribe: Scribe) -> bool:
        return scribe.agenda.is_in_use or not self._servers.is_sharded

    def _home(self, topic: str) -> Address | None:
        return None if topic in self._moved else self._servers.home(self._prefix + topic)

    def _agenda(self) -> Agenda:
        def told(topic: str, progress: Progress) -> None:
            self.told_to(topic, progress)

        def moved(topic: str) -> None:
            # It may be elsewhere already.
            if self.find(topic) is agenda:
                self._moved.add(topic)
                self._away("slots of Redis have moved")
                self._give_away(agenda, [topic])

        agenda = Agenda(self._annals, told=told, moved=moved)
        return agenda

    async def _run(self) -> None:
        await follow_homes(self._servers, (self,), self._astray, seconds=2 * self._seconds)

    def _unlocated(self, error: OSError) -> None:
        """Note that nobody tells where topics live."""
        if self._homeless.is_in_use:
            self._give_up(f"Redis is away ({error})")
        self._placed.set()

    def _give_up(self, why: str) -> None:
        self._away(why)
        self._homeless.give_up()

    def _give_away(self, agenda: Agenda, topics: Collection[str]) -> None:
        """Take all that is said of *topics* from *agenda*, and have it said where they live now."""
        released = agenda.release(topics)
        for record in released.records:
            self.at(record.topic).record(record)
        for hole in released.holes:
            self.at(hole.topic).miss(hole)
        for topic in released.followed:
            self.at(topic.name).adopt(topic)

    def _told(self) -> list[Awaitable[None]]:
        told = [scribe.agenda.told() for scribe in self._scribes.values()]
        return [future for future in told if future is not None]

    async def _are_told(self) -> None:
        await self._placed.wait()
        await asyncio.gather(*self._told())

    async def _finish(self) -> None:
        while any(agenda and not agenda.is_lost for agenda in self.agendas):
            await self._placed.wait()
            await asyncio.gather(*(scribe.finish() for scribe in self._scribes.values()))

    def _away(self, what: str) -> None:
        if not self._was_away:
            _logger.error("%s: histories cannot be read, nor go on until it is back", what)
        self._was_away = True

    def _close_later(self, scribe: Scribe) -> None:
        self._closing.add(task := asyncio.create_task(scribe.aclose()))
        task.add_done_callback(self._closing.discard)


def _nobody(topic: str, progress: Progress) -> None:
    """Hear nothing yet."""
