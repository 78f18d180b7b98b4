from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from broadcaster.cluster.redis_bus import RedisBus
from broadcaster.cluster.redis_journal import RedisJournal
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import Cluster, RedisServer, Watched, eventually
from tests.waits import auntil

from .contract import SECONDS
from .journals import KEEPING, TOPIC, JournalContract, JournalNode

QUICK = 0.3
_groups = itertools.count()


@pytest.fixture
def prefix() -> str:
    """Another one for each test: its nodes meet no others."""
    return f"group-{next(_groups)}-"


def node(url: str, prefix: str, *, seconds: float = QUICK) -> JournalNode:
    return JournalNode(
        RedisBus(url, prefix=prefix, seconds=seconds), RedisJournal(url, prefix=prefix, seconds=seconds)
    )


class TestRedisJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _together(self, redis: RedisServer, prefix: str) -> None:
        self.url, self.prefix = redis.url(), prefix

    def node(self) -> JournalNode:
        return node(self.url, self.prefix, seconds=SECONDS)


class TestRedisJournalWithBracesInItsPrefix(TestRedisJournal):
    def node(self) -> JournalNode:
        return node(self.url, f"{{shop}}:{self.prefix}", seconds=SECONDS)


class TestRedisJournalOfAMasterThatSentinelsName(TestRedisJournal):
    @pytest.fixture(autouse=True)
    def _together(self, shop: Watched, prefix: str) -> None:
        self.url, self.prefix = shop.url, prefix


class TestRedisJournalOfACluster(TestRedisJournal):
    @pytest.fixture(autouse=True)
    def _together(self, shards: Cluster, prefix: str) -> None:
        self.url, self.prefix = shards.url, prefix


class TestRedisJournalOfAClusterWithBracesInItsPrefix(TestRedisJournalOfACluster):
    def node(self) -> JournalNode:
        return node(self.url, f"{{shop}}:{self.prefix}", seconds=SECONDS)


async def cut(proxy: Proxy, *nodes: JournalNode) -> None:
    await asyncio.to_thread(proxy.stop)
    await auntil(lambda: not any(node.bus.is_connected or node.journal.is_connected for node in nodes))


async def mend(proxy: Proxy, *nodes: JournalNode) -> None:
    await asyncio.to_thread(proxy.start)
    await auntil(lambda: all(node.bus.is_connected and node.journal.is_connected for node in nodes))


async def test_it_connects_when_it_is_needed_first(redis: RedisServer, prefix: str) -> None:
    with Proxy(redis.port) as proxy:
        journal = RedisJournal(redis.url(proxy.port), prefix=prefix)

        journal.open(lambda topic, progress: None)

        assert journal.is_connected
        assert proxy.connections == 0
        await journal.aclose(0)


async def test_what_was_recorded_while_a_node_was_cut_off_is_told_to_it_in_order(
    redis: RedisServer, proxy: Proxy, prefix: str
) -> None:
    one, other = node(redis.url(proxy.port), prefix), node(redis.url(), prefix)
    for each in (one, other):
        await each.open()
        await each.follow()
    other.record("1")
    await auntil(lambda: one.told == ["1"])

    await cut(proxy, one)
    other.record("2", "3")
    await auntil(lambda: other.told == ["1", "2", "3"])
    await mend(proxy, one)
    await auntil(lambda: len(one.told) == 3)
    other.record("4")

    await auntil(lambda: len(one.told) == 4)
    assert one.told == ["1", "2", "3", "4"]
    assert one.ids == other.ids
    assert one.late == 2
    for each in (one, other):
        await each.close()


async def test_where_the_history_does_not_reach_back_there_is_a_gap(
    redis: RedisServer, proxy: Proxy, prefix: str
) -> None:
    one, other = node(redis.url(proxy.port), prefix), node(redis.url(), prefix)
    for each in (one, other):
        await each.open()
        await each.follow()

    await cut(proxy, one)
    other.record(*map(str, range(6)))
    await auntil(lambda: len(other.told) == 6)
    await mend(proxy, one)
    await auntil(lambda: one.told)
    other.record("6")

    await auntil(lambda: len(one.told) == 2)
    assert one.told == ["gap", "6"]
    for each in (one, other):
        await each.close()


async def test_after_a_flush_there_is_a_gap_before_the_next_event(redis: RedisServer, prefix: str) -> None:
    one, other = (node(redis.url(), prefix, seconds=SECONDS) for _ in range(2))
    for each in (one, other):
        await each.open()
        await each.follow()
    one.record("1")
    await auntil(lambda: one.told == other.told == ["1"])
    last_id = one.ids[0]

    redis.client().flushall()
    one.record("2")

    for each in (one, other):
        await auntil(lambda each=each: len(each.told) == 3)  # type: ignore[misc]
        assert each.told == ["1", "gap", "2"]
    assert await other.recall(last_id) is None
    for each in (one, other):
        await each.close()


@pytest.mark.parametrize("trouble", ["stop", "stall", "garble"])
async def test_while_redis_is_away_nobody_waits_and_what_is_recorded_is_told_later(
    redis: RedisServer, proxy: Proxy, prefix: str, trouble: str
) -> None:
    one, other = node(redis.url(proxy.port), prefix), node(redis.url(), prefix)
    for each in (one, other):
        await each.open()
        await each.follow()
    await asyncio.to_thread(getattr(proxy, trouble))
    one.record("1")
    await auntil(lambda: not one.journal.is_connected)

    assert await one.follow("news") is None
    assert await one.recall("1-0") is None
    one.record("2", "3")
    assert one.delayed == ["1", "2", "3"]
    await asyncio.to_thread(proxy.start if trouble == "stop" else proxy.resume)

    await auntil(lambda: len(one.told) == len(other.told) == 3)
    assert one.told == other.told == ["1", "2", "3"]
    await auntil(lambda: one.journal.is_connected)
    for each in (one, other):
        await each.close()


async def test_who_followed_while_redis_was_away_is_told_of_a_gap(
    redis: RedisServer, proxy: Proxy, prefix: str
) -> None:
    one = node(redis.url(proxy.port), prefix)
    await one.open()
    await one.follow("news")
    await cut(proxy, one)
    await one.follow()

    await mend(proxy, one)
    await auntil(lambda: one.told == ["gap"])
    one.record("1")

    await auntil(lambda: one.told == ["gap", "1"])
    await one.close()


async def test_a_journal_that_stays_away_does_not_make_the_node_deaf(
    redis: RedisServer, proxy: Proxy, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadcaster.cluster._agenda._PATIENCE", 0.1)
    journal = RedisJournal(redis.url(proxy.port), prefix=prefix, seconds=QUICK)
    one, other = JournalNode(RedisBus(redis.url(), prefix=prefix), journal), node(redis.url(), prefix)
    for each in (one, other):
        await each.open()
        await each.follow()
    await asyncio.to_thread(proxy.stop)
    await auntil(lambda: not journal.is_connected)
    journal.interrupted()

    other.record("1", "2")

    await auntil(lambda: one.told == ["gap", "1", "2"])
    other.record("3")
    await auntil(lambda: one.told == ["gap", "1", "2", "3"])
    for each in (one, other):
        await each.close()


async def test_what_waits_for_redis_is_bounded_and_what_is_lost_leaves_a_hole(
    redis: RedisServer, proxy: Proxy, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = node(redis.url(proxy.port), prefix), node(redis.url(), prefix)
    for each in (one, other):
        await each.open()
    begin = await other.follow()
    assert begin is not None
    await one.follow("news")
    await cut(proxy, one)

    for _ in range(70):
        one.journal.record("big", bytes(1_048_576), "", KEEPING, lambda: None)
    one.journal.record(TOPIC, bytes(1_048_576), "", KEEPING, lambda: None)
    for _ in range(70):
        one.journal.record("big", bytes(1_048_576), "", KEEPING, lambda: None)

    assert one.journal.dropped == 141 - 64
    assert "events not in their history: 1" in caplog.text
    await mend(proxy, one)
    await auntil(lambda: other.told)
    assert other.told == ["hole"]
    assert await other.recall(begin) is None
    for each in (one, other):
        await each.close()


async def test_what_is_kept_is_bounded_in_time(redis: RedisServer, prefix: str) -> None:
    keeping = replace(KEEPING, seconds=1, window=1)
    one = node(redis.url(), prefix, seconds=SECONDS)
    await one.open()
    begin = await one.follow(keeping=keeping)
    assert begin is not None
    one.record("1", keeping=keeping)
    await auntil(lambda: one.told == ["1"])
    admin = redis.client()
    key = f"{{{prefix}{TOPIC}}}"

    assert 0 < admin.pttl(f"{key}:history") <= 1_000
    assert 0 < admin.ttl(f"{key}:latest") <= 86_400
    assert 0 < admin.pttl(f"{key}:said:1") <= 1_000
    await asyncio.to_thread(eventually, lambda: not admin.exists(f"{key}:history"))

    assert await one.recall(begin) is None
    assert await one.recall(one.ids[0]) == []
    one.record("2", keeping=keeping)
    await auntil(lambda: one.told == ["1", "2"])
    await one.close()


async def test_what_is_too_old_is_not_told_though_newer_events_are_there(
    redis: RedisServer, prefix: str
) -> None:
    one = node(redis.url(), prefix, seconds=SECONDS)
    await one.open()
    begin = await one.follow(keeping=replace(KEEPING, seconds=1))
    one.record("old", keeping=KEEPING)
    await auntil(lambda: one.told == ["old"])
    assert begin is not None

    async def old_is_gone() -> bool:
        one.record("new", name=str(next(_groups)))
        return await one.recall(begin) is None

    async with asyncio.timeout(SECONDS):
        while not await old_is_gone():
            pass

    assert await one.recall(one.ids[-1]) is not None
    await one.close()


async def test_a_redis_that_forgets_its_scripts_is_told_them_again(redis: RedisServer, prefix: str) -> None:
    one = node(redis.url(), prefix, seconds=SECONDS)
    await one.open()
    await one.follow()

    redis.client().script_flush()
    one.record("1", "2")

    await auntil(lambda: one.told == ["1", "2"])
    await one.close()
