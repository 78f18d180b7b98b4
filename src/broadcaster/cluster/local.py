"""The roster of nodes that share one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from broadcaster.cluster.replicas import News, Replica, Share
from broadcaster.cluster.roster import PAUSE, Happened, Learned, Tell, place_in, split
from broadcaster.protocol.census import Occupancy
from broadcaster.protocol.elsewhere import Change, Elsewhere, user_at

__all__ = ["Board", "LocalRoster"]


@dataclass
class Board:
    """What several `LocalRoster` share: who has what, and what is to be told of it."""

    clock: int = 0
    nodes: dict[str, LocalRoster] = field(default_factory=dict)
    shares: dict[str, dict[str, Share]] = field(default_factory=dict)
    cached: dict[str, tuple[str, asyncio.TimerHandle]] = field(default_factory=dict)
    farewells: dict[tuple[str, str | None], asyncio.TimerHandle] = field(default_factory=dict)

    def users(self, place: str) -> set[str]:
        """Return the users at *place*."""
        return {user_id for share in self.shares.get(place, {}).values() for user_id in share.members}


class LocalRoster:
    """Connects the nodes that share a *board*; *pause* seconds pass before a farewell is told."""

    def __init__(self, board: Board | None = None, *, pause: float = PAUSE) -> None:
        self._board = Board() if board is None else board
        self._pause = pause
        self._node = ""
        self._replicas: dict[str, Replica] = {}
        self._learned: Learned
        self._happened: Happened

    @property
    def is_connected(self) -> bool:
        """Whether it is open."""
        return bool(self._node)

    def open(self, learned: Learned, happened: Happened, tell: Tell) -> None:
        """See `Roster.open()`; nothing has to be told, the others see the board."""
        self._learned, self._happened = learned, happened
        self._board.clock += 1
        self._node = f"{self._board.clock}-1"
        self._board.nodes[self._node] = self

    def report(self, place: str, change: Change, *, tell: bool) -> None:
        """See `Roster.report()`; the others have learned it when this returns."""
        board = self._board
        shares = board.shares.setdefault(place, {})
        was_empty, before = not shares, board.users(place)
        board.clock += 1
        share = shares.setdefault(self._node, Share(0, 0))
        news = News(self._node, board.clock, share.at, change.count, change.came, change.gone)
        share.at, share.count = board.clock, change.count
        share.members.update(change.came)
        for user_id in change.gone:
            share.members.pop(user_id, None)
        if not share.count:
            del shares[self._node]
        after = board.users(place)
        for other in list(board.nodes.values()):
            if other is not self:
                other.hear(place, news)
        for user_id in after - before:
            self._comes(place, "member_added", user_id)
        for user_id in before - after:
            self._goes(place, "member_removed", user_id)
        if was_empty and shares:
            self._comes(place, "channel_occupied")
        if not shares:
            del board.shares[place]
            if not was_empty:
                self._goes(place, "channel_vacated")

    def watch(self, place: str, ready: Callable[[Elsewhere], None]) -> None:
        """See `Roster.watch()`; it is ready at once."""
        board = self._board
        others = {
            node: Share(share.at, share.count, dict(share.members))
            for node, share in board.shares.get(place, {}).items()
            if node != self._node
        }
        replica = self._replicas[place] = Replica()
        replica.look(board.clock, others, hold=False)
        cached, _ = board.cached.get(place, (None, None))
        ready(replica.elsewhere(cached))

    def unwatch(self, place: str) -> None:
        """See `Roster.unwatch()`."""
        self._replicas.pop(place, None)

    def hear(self, place: str, news: News) -> None:
        """See `Roster.hear()`."""
        if (replica := self._replicas.get(place)) is not None and (change := replica.hear(news)) is not None:
            self._learned(place, change)

    def interrupted(self) -> None:
        """See `Roster.interrupted()`; nothing is ever missed."""

    def keep(self, place: str, frame: str, seconds: int) -> None:
        """See `Roster.keep()`."""
        cached = self._board.cached
        _, timer = cached.pop(place, (None, None))
        if timer is not None:
            timer.cancel()
        cached[place] = frame, asyncio.get_running_loop().call_later(seconds, cached.pop, place)

    def told(self) -> Sequence[Awaitable[None]]:
        """See `Roster.told()`; it is always so."""
        return ()

    async def count(self, places: Collection[str]) -> dict[str, Occupancy]:
        """See `Roster.count()`."""
        board = self._board
        return {
            place: Occupancy(
                sum(share.count for share in board.shares.get(place, {}).values()), len(board.users(place))
            )
            for place in places
        }

    async def channels(self, app_id: str, prefix: str) -> dict[str, Occupancy]:
        """See `Roster.channels()`."""
        begins = place_in(app_id, prefix)
        places = [
            place
            for place in self._board.shares
            if place.startswith(begins) and user_at(split(place)[1]) is None
        ]
        return {split(place)[1]: found for place, found in (await self.count(places)).items()}

    async def users(self, place: str) -> list[str]:
        """See `Roster.users()`."""
        return sorted(self._board.users(place))

    async def aclose(self, seconds: float) -> None:
        """See `Roster.aclose()`."""
        for place, shares in list(self._board.shares.items()):
            if (mine := shares.get(self._node)) is not None:
                self.report(place, Change(0, gone=tuple(mine.members)), tell=True)
        self._board.nodes.pop(self._node, None)
        self._replicas.clear()
        self._node = ""

    def _goes(self, place: str, name: str, user_id: str | None = None) -> None:
        def tell() -> None:
            del self._board.farewells[place, user_id]
            self._happened(place, name, user_id)

        if user_at(split(place)[1]) is None:
            timer = asyncio.get_running_loop().call_later(self._pause, tell)
            self._board.farewells[place, user_id] = timer

    def _comes(self, place: str, name: str, user_id: str | None = None) -> None:
        if user_at(split(place)[1]) is not None:
            return
        if (farewell := self._board.farewells.pop((place, user_id), None)) is not None:
            farewell.cancel()
        else:
            self._happened(place, name, user_id)
