from __future__ import annotations

import itertools

import pytest

from broadcaster.cluster.redis_roster import RedisRoster
from broadcaster.cluster.roster import Roster
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import Cluster, RedisServer, Watched
from tests.waits import auntil

from .contract import SECONDS
from .rosters import ROOM, RosterContract, RosterNode

LEASE = 1.0
_groups = itertools.count()


@pytest.fixture
def prefix() -> str:
    """Another one for each test: its nodes meet no others."""
    return f"group-{next(_groups)}-"


def roster(url: str, prefix: str) -> RedisRoster:
    return RedisRoster(url, prefix=prefix, seconds=0.5, lease=LEASE, pause=0.01)


class TestRedisRoster(RosterContract):
    @pytest.fixture(autouse=True)
    def _together(self, redis: RedisServer, prefix: str) -> None:
        self.url, self.prefix = redis.url(), prefix

    def roster(self) -> Roster:
        return roster(self.url, self.prefix)


class TestRedisRosterOfAMasterThatSentinelsName(RosterContract):
    @pytest.fixture(autouse=True)
    def _together(self, shop: Watched, prefix: str) -> None:
        self.url, self.prefix = shop.url, prefix

    def roster(self) -> Roster:
        return roster(self.url, self.prefix)


class TestRedisRosterOfACluster(RosterContract):
    @pytest.fixture(autouse=True)
    def _together(self, shards: Cluster, prefix: str) -> None:
        self.url, self.prefix = shards.url, prefix

    def roster(self) -> Roster:
        return roster(self.url, self.prefix)


async def test_a_node_that_falls_silent_loses_what_it_has_and_takes_it_back(
    redis: RedisServer, prefix: str
) -> None:
    nodes: list[RosterNode] = []
    with Proxy(redis.port) as proxy:
        one = RosterNode(roster(redis.url(proxy.port), prefix), nodes)
        other = RosterNode(roster(redis.url(), prefix), nodes)
        for node in nodes:
            await node.open()
        await other.watch()
        one.joins("ann", count=1)
        await auntil(lambda: other.heard == ["+ann"])

        proxy.stop()
        await auntil(lambda: other.heard == ["+ann", "-ann"])
        await auntil(lambda: (ROOM, "channel_vacated", None) in other.happened)
        proxy.start()

        await auntil(lambda: other.heard == ["+ann", "-ann", "+ann"])
        await auntil(lambda: one.happened[-1] == (ROOM, "member_added", "ann"))
        for node in nodes:
            await node.roster.aclose(SECONDS)


async def test_after_a_flush_nobody_hears_of_anything(redis: RedisServer, prefix: str) -> None:
    nodes: list[RosterNode] = []
    for _ in range(3):
        node = RosterNode(roster(redis.url(), prefix), nodes)
        await node.open()
        await node.watch()
    nodes[0].joins("ann", count=1)
    nodes[1].joins("bob", count=1)
    await auntil(lambda: nodes[2].count == 2)
    admin = redis.client()

    admin.flushall()
    await auntil(lambda: admin.hlen(f"{{{prefix}broadcaster}}:member:{ROOM}") == 2)
    nodes[0].joins("cid", count=2)

    await auntil(lambda: nodes[2].heard[-1] == "+cid")
    assert sorted(nodes[2].heard) == ["+ann", "+bob", "+cid"]
    added = [user for node in nodes for _, name, user in node.happened if name == "member_added"]
    assert sorted(str(user) for user in added) == ["ann", "bob", "cid"]
    for node in nodes:
        await node.roster.aclose(SECONDS)


async def test_while_redis_is_away_nobody_waits(redis: RedisServer, prefix: str) -> None:
    with Proxy(redis.port) as proxy:
        node = RosterNode(roster(redis.url(proxy.port), prefix), [])
        await node.open()
        proxy.stop()
        await auntil(lambda: not node.roster.is_connected)

        await node.watch()

        with pytest.raises(OSError, match=r"\w"):
            await node.roster.count([ROOM])
        proxy.start()
        await auntil(lambda: node.roster.is_connected)
        await node.roster.aclose(SECONDS)
