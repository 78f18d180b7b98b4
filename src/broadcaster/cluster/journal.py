"""The history of channels, one for all nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

__all__ = ["Entry", "Journal", "Keeping", "Progress", "Recalled", "Told"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much is kept of a history: the latest *events*, for *seconds*.

    What is said again within *window* seconds, under the same name, is not recorded again.
    """

    events: int
    seconds: int
    window: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry in a history: its *id*, that of the one before it, and what was said.

    A hole, where nobody knows what was said, has no *payload*.
    """

    id: str
    after: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """What is new in a history: *entries* in order, the last of which has the id *latest*.

    *missed* says that before them some may be missing, *late* that they could not be heard in time.
    """

    entries: Sequence[Entry]
    latest: str
    missed: bool = False
    late: bool = False


Told: TypeAlias = Callable[[str, Progress], None]
"""Takes a topic, and what is new in its history."""

Recalled: TypeAlias = Callable[[Sequence[Entry] | None], None]
"""Takes what was recorded after an id; None where something may be missing."""


class Journal(Protocol):
    """Records what is said on topics; all of it on one event loop, and nothing of it waits.

    Nobody is ever kept waiting by a journal that is out of order: it says so, and records later what it was
    given meanwhile.
    """

    @property
    def is_connected(self) -> bool:
        """Whether what is recorded is told at once."""
        ...

    @property
    def dropped(self) -> int:
        """How much could not be recorded; there are holes instead."""
        ...

    def open(self, told: Told) -> None:
        """Start on the running event loop; *told* hears what is new on topics that are followed."""

    def record(
        self, topic: str, payload: bytes, name: str, keeping: Keeping, delayed: Callable[[], None]
    ) -> None:
        """Record *payload*, once under that *name*; all nodes that follow *topic* are told, this one too.

        *delayed* is called where it will take its time, before that is over.
        """

    def told(self) -> Sequence[Awaitable[None]]:
        """Return what to await until all that was to be recorded before is recorded; see `Bus.told()`."""
        ...

    def miss(self, topic: str, keeping: Keeping) -> None:
        """Record a hole: whoever heard only what was before it may have missed something."""

    def follow(self, topic: str, keeping: Keeping, ready: Callable[[str | None], None]) -> None:
        """Tell what is new on *topic* after the id that *ready* is called with, or None where nobody knows.

        The topic must be heard on the bus by then, and what was recorded given to `hear()`.
        """

    def unfollow(self, topic: str) -> None:
        """Tell nothing more of *topic*; what it was to call is not called. Harmless when repeated."""

    def recall(self, topic: str, last_id: str, recalled: Recalled) -> None:
        """Find what was recorded after *last_id* on a topic that is followed, up to what was told last."""

    def hear(self, topic: str, entry: Entry) -> None:
        """Take what was heard on the bus."""

    def interrupted(self) -> None:
        """Note that something may have been missed on the bus."""

    async def aclose(self, seconds: float) -> None:
        """Record what is still there, for up to *seconds*, and stop; the rest is lost."""
