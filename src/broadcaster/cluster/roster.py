"""Who is where on all nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeAlias

from broadcaster.cluster.replicas import News
from broadcaster.protocol.census import Occupancy
from broadcaster.protocol.elsewhere import Change, Elsewhere

__all__ = ["PAUSE", "Happened", "Learned", "Roster", "Tell", "place_in", "split"]

PAUSE = 3.0
"""For so many seconds nobody is told that a place is empty, or a user gone: who comes back was never away."""

Learned: TypeAlias = Callable[[str, Change], None]
"""Takes a place, and what is new there on the other nodes."""

Happened: TypeAlias = Callable[[str, str, str | None], None]
"""Takes a place, the name of a webhook event, and the user that it is about, if it is about one."""

Tell: TypeAlias = Callable[[str, News], None]
"""Tells the other nodes what is new at a place; what they tell is for `Roster.hear()`."""


class Roster(Protocol):
    """Knows who is where; all of it on one event loop, and nothing waits but where it says so.

    A *place* is what `place_in()` returns. Nobody is ever
    kept waiting by a roster that is out of order: it says so, and puts right what it can as soon as it can.
    """

    @property
    def is_connected(self) -> bool:
        """Whether other nodes know what we report, and we what they do."""
        ...

    def open(self, learned: Learned, happened: Happened, tell: Tell) -> None:
        """Start on the running event loop.

        *learned* hears what is new at places that are watched. *happened* is called on one node alone, when
        on all of them together a channel is occupied or vacated, or a user comes or goes; whoever comes back
        within a few seconds has never been away. *tell* is how other nodes are told.
        """

    def report(self, place: str, change: Change, *, tell: bool) -> None:
        """Note what is new here at *place*; with *tell* there may be nodes that watch it."""

    def watch(self, place: str, ready: Callable[[Elsewhere], None]) -> None:
        """Learn what is new at *place*, from when *ready* is told what there is on the other nodes."""

    def unwatch(self, place: str) -> None:
        """Learn nothing more of *place*; if it was not ready yet, it never is. Harmless when repeated."""

    def hear(self, place: str, news: News) -> None:
        """Take what another node tells of *place*."""

    def interrupted(self) -> None:
        """Note that what other nodes told may have been missed."""

    def keep(self, place: str, frame: str, seconds: int) -> None:
        """Keep the last event of a cache channel, for so many seconds."""

    def told(self) -> Sequence[Awaitable[None]]:
        """Return what to await until all that was to be kept before is kept; see `Bus.told()`."""
        ...

    async def count(self, places: Collection[str]) -> dict[str, Occupancy]:
        """Return how many are at each of *places*; raise `OSError` where that cannot be known now."""
        ...

    async def channels(self, app_id: str, prefix: str) -> dict[str, Occupancy]:
        """Return the occupied channels that begin with *prefix*; see `count()`."""
        ...

    async def users(self, place: str) -> list[str]:
        """Return the ids of the users at a presence channel; see `count()`."""
        ...

    async def aclose(self, seconds: float) -> None:
        """Report what is still to be reported, for up to *seconds*, and stop."""


def place_in(app_id: str, name: str) -> str:
    """Return the place of a channel, or of what `place_of()` returns, in an application."""
    return f"{app_id}/{name}"


def split(place: str) -> tuple[str, str]:
    """Return the application's id and the channel, or user, of *place*."""
    app_id, _, name = place.partition("/")
    return app_id, name
