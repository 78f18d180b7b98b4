"""The journal where topics have homes that change, beyond what every journal keeps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broadcaster.cluster.redis_bus import RedisBus
from broadcaster.cluster.redis_journal import RedisJournal
from tests.drivers.redis_servers import Cluster, Watched, cluster, watched
from tests.waits import auntil

from .journals import KEEPING, TOPIC, JournalNode

QUICK = 2.0
PLENTY = replace(KEEPING, events=100_000)
SPREAD = tuple(f"topic-{number}" for number in range(12))
_groups = itertools.count()


@pytest.fixture
def shards_and_a_replica(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, with_replica=True) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as running:
        yield running


def at_the_first(shards: Cluster) -> str:
    """Return a prefix with which the topic lives at the first master."""
    prefixes = (f"scribes-{number}-" for number in _groups)
    return next(prefix for prefix in prefixes if shards.owner(prefix + TOPIC) == 0)


@asynccontextmanager
async def pair(url: str, prefix: str) -> AsyncIterator[tuple[JournalNode, JournalNode]]:
    """Run two nodes that follow the topic."""
    one, other = (
        JournalNode(
            RedisBus(url, prefix=prefix, seconds=QUICK), RedisJournal(url, prefix=prefix, seconds=QUICK)
        )
        for _ in range(2)
    )
    try:
        for node in (one, other):
            await node.open()
            await node.follow(keeping=PLENTY)
        yield one, other
    finally:
        for node in (one, other):
            await node.close()


class Telling:
    """Two nodes that record numbers, one after the other."""

    def __init__(self, *nodes: JournalNode) -> None:
        self.nodes = nodes
        self.recorded = 0

    async def tell(self, most: int, *, enough: Callable[[], object] = lambda: False) -> None:
        """Record so many more, each when the one before is; fewer where that is *enough*."""
        for number in range(self.recorded, self.recorded + most):
            node = self.nodes[number % 2]
            node.record(str(number), keeping=PLENTY)
            self.recorded += 1
            await asyncio.gather(*node.journal.told())
            await asyncio.sleep(0)
            if enough():
                return

    async def tell_during(self, trouble: Callable[[], object]) -> None:
        """Record while *trouble* comes, some while it is there, and some when all is well again."""
        deaf: set[JournalNode] = set()

        def are_deaf() -> bool:
            deaf.update(node for node in self.nodes if not node.journal.is_connected)
            return len(deaf) == 2

        coming = asyncio.create_task(asyncio.to_thread(trouble))
        await self.tell(500, enough=are_deaf)
        await auntil(are_deaf)
        await coming
        await self.tell(20)
        await auntil(lambda: all(node.journal.is_connected and node.bus.is_connected for node in self.nodes))
        while not await self._are_well():
            pass
        await self.tell(20)
        await auntil(lambda: all(self._last <= {*node.told} for node in self.nodes))

    def is_whole(self, told: list[str]) -> bool:
        """Whether all came once, and in order as far as one node recorded it."""
        numbers = [int(text) for text in told]
        return all(
            [number for number in numbers if number % 2 == node] == [*range(node, self.recorded, 2)]
            for node in (0, 1)
        )

    async def _are_well(self) -> bool:
        """Return, once both are told of what each records now, whether that is without a gap."""
        before = [(node, len(node.told)) for node in self.nodes]
        await self.tell(2)
        await auntil(
            lambda: all("gap" in node.told[since:] or self._last <= {*node.told} for node, since in before)
        )
        return not any("gap" in node.told[since:] for node, since in before)

    @property
    def _last(self) -> set[str]:
        """What each of them recorded last."""
        return {str(self.recorded - 1), str(self.recorded - 2)}


async def test_a_shard_that_is_away_stops_no_other(shards: Cluster) -> None:
    prefix = at_the_first(shards)
    away = [topic for topic in SPREAD if shards.owner(prefix + topic) == 1]
    there = [topic for topic in SPREAD if topic not in away]
    assert {shards.owner(prefix + topic) for topic in there} == {0, 2}
    async with pair(shards.url, prefix) as (one, other):
        for topic in SPREAD:
            await one.follow(topic)
            await other.follow(topic)
        shards.proxies[1].stop()
        await auntil(lambda: not one.journal.is_connected and not other.journal.is_connected)

        for topic in SPREAD:
            one.record(topic, topic=topic)
        await asyncio.gather(*one.journal.told())

        await auntil(lambda: all(other.told_of.get(topic) == [topic] for topic in there))
        assert sorted(one.delayed) == sorted(away)
        assert await one.recall("1-0", away[0]) is None
        assert not one.journal.is_connected
        shards.proxies[1].start()
        await auntil(lambda: all(other.told_of.get(topic) == [topic] for topic in away))
        await auntil(lambda: one.journal.is_connected and other.journal.is_connected)
    shards.wait()


async def test_a_shard_that_nobody_needs_may_be_away(
    shards: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = at_the_first(shards)
    elsewhere = next(topic for topic in SPREAD if shards.owner(prefix + topic) == 1)
    async with pair(shards.url, prefix) as (one, _):
        one.record("1", topic=elsewhere)
        await asyncio.gather(*one.journal.told())
        shards.proxies[1].stop()

        one.record("2")
        await auntil(lambda: one.told == ["2"])

        assert one.journal.is_connected
        assert "histories cannot be read" not in caplog.text
        one.record("3", topic=elsewhere)
        await auntil(lambda: not one.journal.is_connected)
        shards.proxies[1].start()
        await auntil(lambda: one.journal.is_connected)
    shards.wait()


async def test_a_cluster_of_which_nobody_answers_keeps_nobody_waiting(shards: Cluster) -> None:
    prefix = at_the_first(shards)
    async with pair(shards.url, prefix) as (_, other):
        bus = RedisBus(shards.url, prefix=prefix, seconds=QUICK)
        one = JournalNode(bus, RedisJournal(shards.url, prefix=prefix, seconds=QUICK))
        await one.open()
        for proxy in shards.proxies:
            proxy.stop()

        assert await one.follow("news") is None
        one.record("1", keeping=PLENTY)
        assert one.delayed == ["1"]
        assert list(one.journal.told()) == []
        for proxy in shards.proxies:
            proxy.start()

        await auntil(lambda: other.told == ["1"])
        await auntil(lambda: one.journal.is_connected)
        assert await one.follow() == other.ids[0]
        await one.close()
    shards.wait()


async def test_a_history_whose_slot_moves_goes_on(shards: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    prefix = at_the_first(shards)
    async with pair(shards.url, prefix) as (one, other):
        one.record("begin", keeping=PLENTY)
        await auntil(lambda: other.told == ["begin"])
        others = [topic for topic in SPREAD if shards.owner(prefix + topic) == 0]

        telling = Telling(one, other)
        await telling.tell_during(lambda: shards.move(prefix + TOPIC, to=1))
        for topic in others:
            one.record(topic, topic=topic)

        assert one.told == other.told
        assert one.ids == other.ids
        assert telling.is_whole(one.told[1:])
        await asyncio.gather(*one.journal.told())
        assert not set(one.delayed) & set(others)
        assert "slots of Redis have moved: histories cannot be read" in caplog.text
        found = await other.recall(one.ids[0])
        assert found == one.told[1:]


async def test_a_master_of_a_cluster_that_hands_over_costs_nothing(shards_and_a_replica: Cluster) -> None:
    shards = shards_and_a_replica
    async with pair(shards.url, at_the_first(shards)) as (one, other):
        client, telling = shards.replica.client(), Telling(one, other)

        await telling.tell_during(lambda: client.execute_command("CLUSTER FAILOVER"))

        assert one.told == other.told
        assert telling.is_whole(one.told)


async def test_a_master_of_a_cluster_that_is_killed_is_succeeded(shards_and_a_replica: Cluster) -> None:
    shards = shards_and_a_replica
    async with pair(shards.url, at_the_first(shards)) as (one, other):
        telling = Telling(one, other)

        await telling.tell_during(shards.servers[0].stop)

        # Its replica may not have had all.
        assert one.told[-20:] == other.told[-20:] == [*map(str, range(telling.recorded))][-20:]
        assert all("gap" in node.told or telling.is_whole(node.told) for node in (one, other))


async def test_a_master_that_the_sentinel_replaces_is_followed(shop: Watched) -> None:
    async with pair(shop.url, "shop-") as (one, other):
        client, telling = shop.sentinel.client(), Telling(one, other)

        await telling.tell_during(lambda: client.execute_command("SENTINEL", "FAILOVER", "shop"))

        # What the old one took last, nobody has told the new one.
        assert one.told[-20:] == other.told[-20:] == [*map(str, range(telling.recorded))][-20:]
