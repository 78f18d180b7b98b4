"""What every roster keeps, shown by nodes that share one."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from broadcaster.cluster.replicas import News
from broadcaster.cluster.roster import Roster
from broadcaster.protocol.elsewhere import Change, Elsewhere, place_of
from tests.waits import auntil

from .contract import SECONDS

__all__ = ["ROOM", "RosterContract", "RosterNode"]

ROOM = "1/presence-room"


class RosterNode:
    """One node: its *roster*, what it thinks of the others, and what happened."""

    def __init__(self, roster: Roster, others: list[RosterNode]) -> None:
        self.roster = roster
        self.members: dict[str, Any] = {}
        self.count = 0
        self.heard: list[str] = []
        self.happened: list[tuple[str, str, str | None]] = []
        self._others = others
        others.append(self)

    async def open(self) -> None:
        self.roster.open(
            self._learned, lambda place, name, user: self.happened.append((place, name, user)), self._tell
        )
        await auntil(lambda: self.roster.is_connected)

    async def watch(self, place: str = ROOM) -> Elsewhere:
        seen: asyncio.Future[Elsewhere] = asyncio.get_running_loop().create_future()
        self.roster.watch(place, seen.set_result)
        async with asyncio.timeout(SECONDS):
            elsewhere = await seen
        self.members, self.count = dict(elsewhere.members), elsewhere.count
        return elsewhere

    def joins(self, *users: str, count: int, place: str = ROOM) -> None:
        self.roster.report(place, Change(count, {user: {"name": user} for user in users}), tell=True)

    def leaves(self, *users: str, count: int, place: str = ROOM) -> None:
        self.roster.report(place, Change(count, gone=users), tell=True)

    def _learned(self, place: str, change: Change) -> None:
        for user_id, info in change.came.items():
            assert user_id not in self.members, "a member joined twice"
            self.members[user_id] = info
            self.heard.append(f"+{user_id}")
        for user_id in change.gone:
            assert self.members.pop(user_id, self) is not self, "somebody left who was not there"
            self.heard.append(f"-{user_id}")
        self.count = change.count

    def _tell(self, place: str, news: News) -> None:
        for other in self._others:
            if other is not self:
                other.roster.hear(place, news)


class RosterContract(ABC):
    """Subclass it; `roster()` makes another roster of the same nodes each time."""

    @abstractmethod
    def roster(self) -> Roster:
        """Return a roster that is not open; it tells a farewell at once, or nearly so."""

    @pytest.fixture
    async def nodes(self) -> AsyncIterator[list[RosterNode]]:
        async with AsyncExitStack() as stack:
            nodes: list[RosterNode] = []
            for _ in range(3):
                node = RosterNode(self.roster(), nodes)
                await node.open()
                stack.push_async_callback(node.roster.aclose, SECONDS)
            yield nodes

    async def test_who_comes_and_goes_is_learned_by_those_who_watch(self, nodes: list[RosterNode]) -> None:
        one, other, third = nodes
        assert await other.watch() == Elsewhere()

        one.joins("ann", "bob", count=2)
        await auntil(lambda: other.count == 2)
        assert other.members == {"ann": {"name": "ann"}, "bob": {"name": "bob"}}
        one.leaves("ann", count=1)
        await auntil(lambda: other.heard == ["+ann", "+bob", "-ann"])

        assert third.heard == []

    async def test_whoever_begins_to_watch_sees_who_is_there(self, nodes: list[RosterNode]) -> None:
        one, other, third = nodes
        await third.watch()
        one.joins("ann", count=3)
        await auntil(lambda: third.count == 3)

        seen = await other.watch()

        assert (seen.count, dict(seen.members)) == (3, {"ann": {"name": "ann"}})

    async def test_a_user_on_two_nodes_comes_once_and_goes_once(self, nodes: list[RosterNode]) -> None:
        one, other, third = nodes
        await third.watch()

        one.joins("ann", count=1)
        other.joins("ann", count=1)
        await auntil(lambda: third.count == 2)
        one.leaves("ann", count=0)
        await auntil(lambda: third.count == 1)
        assert third.heard == ["+ann"]
        other.leaves("ann", count=0)

        await auntil(lambda: third.heard == ["+ann", "-ann"])
        await auntil(lambda: len([what for node in nodes for what in node.happened]) == 4)
        news = sorted((name, user or "") for node in nodes for _, name, user in node.happened)
        assert news == [
            ("channel_occupied", ""),
            ("channel_vacated", ""),
            ("member_added", "ann"),
            ("member_removed", "ann"),
        ]

    async def test_it_counts_and_lists_what_there_is_on_all_nodes(self, nodes: list[RosterNode]) -> None:
        one, other, third = nodes
        one.joins("ann", count=2)
        other.joins("ann", "bob", count=3)
        other.roster.report("1/orders", Change(1), tell=False)
        other.roster.report("2/orders", Change(1), tell=False)
        other.roster.report(f"1/{place_of('ann')}", Change(1), tell=True)

        async with asyncio.timeout(SECONDS):
            while len(await third.roster.channels("1", "")) < 2 or len(await third.roster.users(ROOM)) < 2:
                pass

        found = await third.roster.channels("1", "")
        assert {name: (each.connections, each.users) for name, each in found.items()} == {
            "orders": (1, 0),
            "presence-room": (5, 2),
        }
        assert list(await third.roster.channels("1", "pre")) == ["presence-room"]
        assert await third.roster.users(ROOM) == ["ann", "bob"]
        assert (await third.roster.count(["1/none"]))["1/none"].connections == 0

    async def test_the_last_event_is_seen_by_whoever_begins_to_watch(self, nodes: list[RosterNode]) -> None:
        one, other, third = nodes
        one.roster.keep("1/cache-a", "first", 60)
        one.roster.keep("1/cache-a", "last", 60)

        async with asyncio.timeout(SECONDS):
            while (await other.watch("1/cache-a")).cached != "last":
                pass

        assert (await third.watch("1/cache-b")).cached is None

    async def test_a_node_that_is_closed_leaves_nobody_behind(self, nodes: list[RosterNode]) -> None:
        one, other, _ = nodes
        await other.watch()
        one.joins("ann", count=1)
        await auntil(lambda: other.members)

        one.leaves("ann", count=0)
        await one.roster.aclose(SECONDS)

        await auntil(lambda: not other.members)
        assert await other.roster.channels("1", "") == {}
        assert not one.roster.is_connected

    async def test_who_watches_no_more_learns_nothing(self, nodes: list[RosterNode]) -> None:
        one, other, third = nodes
        await other.watch()
        await third.watch()
        other.roster.unwatch(ROOM)
        other.roster.unwatch(ROOM)

        one.joins("ann", count=1)

        await auntil(lambda: third.members)
        assert other.heard == []
