"""What every journal keeps, shown by nodes that share one."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from broadcaster.cluster.bus import Bus
from broadcaster.cluster.envelopes import open_recorded
from broadcaster.cluster.journal import Entry, Journal, Keeping, Progress
from tests.waits import auntil

from .contract import SECONDS

__all__ = ["KEEPING", "TOPIC", "JournalContract", "JournalNode"]

KEEPING = Keeping(events=5, seconds=60, window=60)
TOPIC = "orders"


class JournalNode:
    """One node: its *journal*, the *bus* that it hears, and what it was told."""

    def __init__(self, bus: Bus, journal: Journal) -> None:
        self.bus = bus
        self.journal = journal
        self.told_of: dict[str, list[str]] = {TOPIC: []}
        self.ids: list[str] = []
        self.delayed: list[str] = []
        self.late = 0

    @property
    def told(self) -> list[str]:
        """What it was told of the topic that most tests are about."""
        return self.told_of[TOPIC]

    async def open(self) -> None:
        self.journal.open(self._told)
        self.bus.open(self._heard, self.journal.interrupted)
        await auntil(lambda: self.bus.is_connected)

    async def close(self) -> None:
        await self.journal.aclose(SECONDS)
        await self.bus.aclose(SECONDS)

    async def follow(self, topic: str = TOPIC, keeping: Keeping = KEEPING) -> str | None:
        """Follow *topic*; return the latest id."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        latest: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.bus.subscribe(topic, lambda: heard.set_result(None))
        async with asyncio.timeout(SECONDS):
            await heard
            self.journal.follow(topic, keeping, latest.set_result)
            return await latest

    def leave(self, topic: str = TOPIC) -> None:
        """Follow *topic* no more."""
        self.journal.unfollow(topic)
        self.bus.unsubscribe(topic)

    def record(
        self, *said: str, topic: str = TOPIC, keeping: Keeping = KEEPING, name: str | None = None
    ) -> None:
        for text in said:
            payload = f'{{"event":"{text}"}}'.encode()
            self.journal.record(
                topic,
                payload,
                name or text,
                keeping,
                lambda text=text: self.delayed.append(text),  # type: ignore[misc]
            )

    async def recall(self, last_id: str, topic: str = TOPIC) -> list[str] | None:
        found: asyncio.Future[Sequence[Entry] | None] = asyncio.get_running_loop().create_future()
        self.journal.recall(topic, last_id, found.set_result)
        async with asyncio.timeout(SECONDS):
            entries = await found
        return None if entries is None else [_text(entry) for entry in entries]

    def _told(self, topic: str, progress: Progress) -> None:
        told = self.told_of.setdefault(topic, [])
        told += ["gap"] if progress.missed else []
        told += [_text(entry) for entry in progress.entries]
        if topic != TOPIC:
            return
        self.ids += [entry.id for entry in progress.entries]
        self.late += len(progress.entries) if progress.late else 0

    def _heard(self, topic: str, payload: bytes) -> None:
        if (entry := open_recorded(payload)) is not None:
            self.journal.hear(topic, entry)


def _text(entry: Entry) -> str:
    return entry.payload.decode().removeprefix('{"event":"').removesuffix('"}') or "hole"


class JournalContract(ABC):
    """Subclass it; `node()` makes another one of the same nodes each time."""

    @abstractmethod
    def node(self) -> JournalNode:
        """Return a node that is not open."""

    @pytest.fixture
    async def nodes(self) -> AsyncIterator[list[JournalNode]]:
        async with AsyncExitStack() as stack:
            nodes = [self.node() for _ in range(3)]
            for node in nodes:
                await node.open()
                stack.push_async_callback(node.close)
            yield nodes

    async def test_what_any_node_records_is_told_to_all_in_one_order(self, nodes: list[JournalNode]) -> None:
        for node in nodes:
            await node.follow()

        for number in range(300):
            nodes[number % 3].record(str(number))

        await auntil(lambda: all(len(node.told) == 300 for node in nodes))
        assert sorted(map(int, nodes[0].told)) == list(range(300))
        assert nodes[0].told == nodes[1].told == nodes[2].told
        assert nodes[0].ids == nodes[1].ids == nodes[2].ids
        assert len(set(nodes[0].ids)) == 300
        assert nodes[0].delayed == []

    async def test_who_does_not_follow_is_told_nothing(self, nodes: list[JournalNode]) -> None:
        one, other, third = nodes
        await one.follow()
        await other.follow()
        other.leave()
        other.leave()
        await third.follow("news")

        one.record("1")

        await auntil(lambda: one.told)
        assert (other.told, third.told) == ([], [])

    async def test_another_node_finds_what_came_after_an_id(self, nodes: list[JournalNode]) -> None:
        one, other, _ = nodes
        begin = await one.follow()
        one.record("1", "2", "3")
        await auntil(lambda: len(one.told) == 3)

        assert await other.follow() == one.ids[-1]

        assert begin is not None
        assert await other.recall(begin) == ["1", "2", "3"]
        assert await other.recall(one.ids[0]) == ["2", "3"]
        assert await other.recall(one.ids[2]) == []
        for nonsense in ("0-0", "999999999999999-0"):
            assert await other.recall(nonsense) is None

    async def test_what_is_recalled_goes_on_where_what_is_told_does(self, nodes: list[JournalNode]) -> None:
        one, other, _ = nodes
        keeping = replace(KEEPING, events=1_000)
        begin = await one.follow(keeping=keeping)
        assert begin is not None
        await other.follow(keeping=keeping)

        for number in range(200):
            other.record(str(number), keeping=keeping)
            if number % 7 == 0:
                found = await one.recall(begin)
                assert found == one.told

    async def test_what_has_no_events_yet_begins_where_it_was_followed(
        self, nodes: list[JournalNode]
    ) -> None:
        begin = await nodes[0].follow()
        assert await nodes[1].follow() == begin

        nodes[2].record("1")
        await auntil(lambda: nodes[0].told)

        assert begin is not None
        assert await nodes[0].recall(begin) == ["1"]

    async def test_the_same_is_recorded_once_whoever_does_it(self, nodes: list[JournalNode]) -> None:
        for node in nodes:
            await node.follow()

        for node in nodes:
            node.record("1", name="the-same")
        for node in nodes:
            node.record(f"fence-{id(node)}")

        await auntil(lambda: all(len(node.told) == 4 for node in nodes))
        assert nodes[2].told.count("1") == 1

    async def test_only_so_many_are_kept(self, nodes: list[JournalNode]) -> None:
        one, *_ = nodes
        await one.follow()
        one.record(*map(str, range(8)))
        await auntil(lambda: len(one.told) == 8)

        found = [await one.recall(entry_id) for entry_id in one.ids]

        assert found[:2] == [None, None]
        assert found[2] == ["3", "4", "5", "6", "7"]
        assert found[-1] == []

    async def test_before_a_hole_there_is_a_gap_and_behind_it_none(self, nodes: list[JournalNode]) -> None:
        one, other, _ = nodes
        await one.follow()
        one.record("1")
        await auntil(lambda: one.told)
        other.journal.miss(TOPIC, KEEPING)
        await auntil(lambda: one.told == ["1", "hole"])
        one.record("2")
        await auntil(lambda: len(one.told) == 3)

        found = [await one.recall(entry_id) for entry_id in one.ids]

        assert found == [None, ["2"], []]

    async def test_what_was_told_comes_before_what_others_say_then(self, nodes: list[JournalNode]) -> None:
        one, other, third = nodes
        await third.follow()

        for number in range(100):
            for node in (one, other):
                node.record(f"{number}-{nodes.index(node)}", topic=TOPIC)
                node.record(f"{number}-{nodes.index(node)}", topic="news")
                await asyncio.gather(*node.journal.told())

        await auntil(lambda: len(third.told) == 200)
        assert third.told == [f"{number}-{node}" for number in range(100) for node in range(2)]
        assert list(one.journal.told()) == []

    async def test_what_was_recorded_before_it_is_closed_is_told(self, nodes: list[JournalNode]) -> None:
        one, other, _ = nodes
        await other.follow()
        one.record(*map(str, range(500)))

        await one.journal.aclose(SECONDS)

        await auntil(lambda: len(other.told) == 500)
