"""The journal of nodes that share one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from broadcaster.cluster.journal import Entry, Keeping, Progress, Recalled, Told

__all__ = ["LocalJournal", "Shelf"]


@dataclass(slots=True)
class _History:
    """What was recorded on one topic; nothing is known of what was before the id *before*."""

    before: str
    entries: deque[tuple[float, Entry]] = field(default_factory=deque)
    names: dict[str, float] = field(default_factory=dict)

    @property
    def latest(self) -> str:
        return self.entries[-1][1].id if self.entries else self.before

    def trim(self, now: float, keeping: Keeping) -> None:
        """Forget what is too old or too much."""
        while self.entries and (
            len(self.entries) > keeping.events or self.entries[0][0] < now - keeping.seconds
        ):
            self.before = self.entries.popleft()[1].id
        while self.names and self.names[oldest := next(iter(self.names))] < now:
            del self.names[oldest]

    def since(self, last_id: str) -> list[Entry] | None:
        entries = [entry for _, entry in self.entries]
        ids = [self.before, *(entry.id for entry in entries)]
        return entries[ids.index(last_id) :] if last_id in ids else None


@dataclass
class Shelf:
    """What several `LocalJournal` share: the histories, and who is told of them."""

    number: int = 0
    histories: dict[str, _History] = field(default_factory=dict)
    journals: dict[LocalJournal, Callable[[str, Entry], None]] = field(default_factory=dict)

    def next_id(self) -> str:
        """Return an id that no entry had."""
        self.number += 1
        return f"{self.number}-0"

    def history(self, topic: str, keeping: Keeping) -> _History:
        """Return the history of *topic*, which may begin now."""
        history = self.histories.setdefault(topic, _History(""))
        history.before = history.before or self.next_id()
        history.trim(asyncio.get_running_loop().time(), keeping)
        return history


class LocalJournal:
    """Connects the nodes that share a *shelf*; all of it is done at once, and stays as long as the shelf."""

    dropped = 0

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = Shelf() if shelf is None else shelf
        self._followed: dict[str, Keeping] = {}
        self._told: Told

    @property
    def is_connected(self) -> bool:
        """Whether it is open."""
        return self in self._shelf.journals

    def open(self, told: Told) -> None:
        """See `Journal.open()`."""
        self._told = told
        self._shelf.journals[self] = self._tell

    def record(
        self, topic: str, payload: bytes, name: str, keeping: Keeping, delayed: Callable[[], None]
    ) -> None:
        """See `Journal.record()`; it takes no time."""
        history, now = self._shelf.history(topic, keeping), asyncio.get_running_loop().time()
        if name not in history.names:
            history.names[name] = now + keeping.window
            self._add(topic, history, payload, keeping)

    def told(self) -> Sequence[Awaitable[None]]:
        """See `Journal.told()`; it is always so."""
        return ()

    def miss(self, topic: str, keeping: Keeping) -> None:
        """See `Journal.miss()`."""
        history = self._shelf.history(topic, keeping)
        self._add(topic, history, b"", keeping)
        history.before = history.latest
        history.entries.clear()

    def follow(self, topic: str, keeping: Keeping, ready: Callable[[str | None], None]) -> None:
        """See `Journal.follow()`; it is ready at once."""
        self._followed[topic] = keeping
        ready(self._shelf.history(topic, keeping).latest)

    def unfollow(self, topic: str) -> None:
        """See `Journal.unfollow()`."""
        self._followed.pop(topic, None)

    def recall(self, topic: str, last_id: str, recalled: Recalled) -> None:
        """See `Journal.recall()`."""
        keeping = self._followed.get(topic)
        recalled(None if keeping is None else self._shelf.history(topic, keeping).since(last_id))

    def hear(self, topic: str, entry: Entry) -> None:
        """See `Journal.hear()`; nothing of it is said on a bus."""

    def interrupted(self) -> None:
        """See `Journal.interrupted()`; nothing is ever missed."""

    async def aclose(self, seconds: float) -> None:
        """See `Journal.aclose()`."""
        self._shelf.journals.pop(self, None)
        self._followed.clear()

    def _add(self, topic: str, history: _History, payload: bytes, keeping: Keeping) -> None:
        entry = Entry(self._shelf.next_id(), history.latest, payload)
        history.entries.append((asyncio.get_running_loop().time(), entry))
        history.trim(asyncio.get_running_loop().time(), keeping)
        for tell in list(self._shelf.journals.values()):
            tell(topic, entry)

    def _tell(self, topic: str, entry: Entry) -> None:
        if topic in self._followed:
            self._told(topic, Progress([entry], entry.id))
