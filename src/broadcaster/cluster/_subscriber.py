"""The topics that a node hears, each at its home."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

from broadcaster.cluster._ear import Ear
from broadcaster.cluster._redis_link import Address, Links
from broadcaster.cluster.bus import Heard

__all__ = ["Subscriber"]

_logger = logging.getLogger("broadcaster.server")


class Subscriber:
    """Has an ear at each home of a topic; *astray* is called when the homes are to be learned anew."""

    def __init__(self, links: Links, astray: Callable[[], None]) -> None:
        self._links = links
        self._servers = links.servers
        self._astray = astray
        self._wanted: dict[str, Callable[[], None] | None] = {}
        """Each topic, with what to call when it is heard; None once that was done."""
        self._ears: dict[Address, Ear] = {}
        self._places: dict[str, Ear] = {}
        self._homeless: dict[str, None] = {}
        self._is_located = False
        self._was_away = False
        self._closing: set[asyncio.Task[None]] = set()
        self.is_connected = False
        """Whether all that is wanted is heard."""
        self.heard: Heard = _nobody
        self._interrupted: Callable[[], None] = _nothing

    def open(self, heard: Heard, interrupted: Callable[[], None]) -> None:
        """Start; see `Bus.open()`."""
        self.heard, self._interrupted = heard, interrupted
        if not self._servers.is_sharded:
            for home in self._servers.homes:
                self._ear(home)
            self.follow(moved=False)

    def subscribe(self, topic: str, ready: Callable[[], None]) -> None:
        """See `Bus.subscribe()`."""
        if topic in self._wanted:
            self.unsubscribe(topic)
        self._wanted[topic] = ready
        self._place(topic)

    def unsubscribe(self, topic: str) -> None:
        """See `Bus.unsubscribe()`."""
        if topic in self._wanted:
            del self._wanted[topic]
            self._homeless.pop(topic, None)
            if (ear := self._places.pop(topic, None)) is not None:
                ear.remove(topic)

    def follow(self, *, moved: bool) -> None:
        """Hear each topic where it lives now; with *moved* that may be elsewhere."""
        self._is_located = True
        if moved:
            gone = [topic for topic, ear in self._places.items() if self._servers.home(topic) != ear.home]
            for topic in gone:
                self._places[topic].remove(topic)
            self.moved(gone)
        for topic in [*self._homeless]:
            self._place(topic)
        for home, ear in [*self._ears.items()]:
            if not ear.topics and home not in self._servers.homes:
                del self._ears[home]
                self._close_later(ear)
        self.settled()

    def unlocated(self, error: OSError) -> None:
        """Note that nobody tells where topics live."""
        if self._homeless or not self._is_located:
            self._away(f"Redis is away ({error})", self._homeless)

    def subscribed(self, topic: str) -> None:
        """See `Hearing.subscribed()`."""
        if (ready := self._wanted.get(topic)) is not None:
            self._wanted[topic] = None
            ready()

    def settled(self) -> None:
        """See `Hearing.settled()`; when all are, all is heard."""
        if self.is_connected or self._homeless or not self._is_located:
            return
        in_use = [ear for ear in self._ears.values() if ear.topics or not self._servers.is_sharded]
        if all(ear.is_settled for ear in in_use):
            self.is_connected = True
            if self._was_away:
                self._was_away = False
                _logger.warning(
                    "Redis is back: other nodes are heard again; what they said meanwhile is not, but on"
                    " channels with a history"
                )
                self._interrupted()

    def moved(self, topics: Collection[str]) -> None:
        """See `Hearing.moved()`."""
        for topic in topics:
            self._places.pop(topic, None)
            self._homeless[topic] = None
        if any(self._wanted[topic] is None for topic in topics):
            self._away("slots of Redis have moved", ())
        if topics:
            self._astray()

    def lost(self, ear: Ear, error: OSError) -> None:
        """See `Hearing.lost()`; nobody waits for that to change."""
        self._away(f"Redis is away ({error})", ear.topics)
        self._astray()

    async def aclose(self) -> None:
        """Hear nothing more."""
        self.is_connected = self._is_located = False
        for ear in self._ears.values():
            self._close_later(ear)
        self._ears.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _place(self, topic: str) -> None:
        """Hear *topic* where it lives, as soon as that is known."""
        home = self._servers.home(topic)
        if home is None:
            self._homeless[topic] = None
            self._astray()
            if self._was_away:
                self.subscribed(topic)
            return
        self._homeless.pop(topic, None)
        ear = self._places[topic] = self._ear(home)
        ear.add(topic)
        if ear.is_lost:
            self.subscribed(topic)

    def _ear(self, home: Address) -> Ear:
        if home not in self._ears:
            self._ears[home] = Ear(self._links, home, self)
        return self._ears[home]

    def _away(self, what: str, topics: Iterable[str]) -> None:
        if not self._was_away:
            _logger.error("%s: other nodes are not heard until it is back", what)
        self._was_away = True
        self.is_connected = False
        for topic in [*topics]:
            self.subscribed(topic)

    def _close_later(self, ear: Ear) -> None:
        self._closing.add(task := asyncio.create_task(ear.aclose()))
        task.add_done_callback(self._closing.discard)


def _nobody(topic: str, payload: bytes) -> None:
    """Hear nothing yet."""


def _nothing() -> None:
    """Do nothing yet."""
