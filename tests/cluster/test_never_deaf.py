"""Whatever happens to Redis, a node says that it hears nobody, goes on, and hears everybody again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import Cluster, RedisServer, Watched, cluster, watched
from tests.waits import auntil

from .rosters import ROOM
from .troubles import QUICK, TOPICS, pair

_numbers = itertools.count()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as running:
        yield running


@pytest.fixture
def shards_and_a_replica(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, with_replica=True) as running:
        yield running


# One server


@pytest.mark.parametrize(("trouble", "mend"), [("stop", "start"), ("freeze", "thaw")])
async def test_a_server_that_is_restarted_or_stands_still(
    redis: RedisServer, trouble: str, mend: str
) -> None:
    async with pair(redis.url()) as nodes:
        await nodes.is_deaf_after(getattr(redis, trouble))

        await nodes.hears_again_after(getattr(redis, mend))


async def test_a_server_that_is_paused(redis: RedisServer) -> None:
    async with pair(redis.url()) as nodes:
        admin = redis.client()

        await nodes.is_deaf_after(lambda: admin.client_pause(int(QUICK * 3_000)))

        await nodes.hears_again_after(lambda: None)


@pytest.mark.parametrize(("trouble", "mend"), [("stop", "start"), ("stall", "resume")])
async def test_a_node_that_is_cut_off(redis: RedisServer, proxy: Proxy, trouble: str, mend: str) -> None:
    async with pair(redis.url(proxy.port), other=redis.url()) as nodes:
        await nodes.is_deaf_after(getattr(proxy, trouble))

        await nodes.hears_again_after(getattr(proxy, mend))


async def test_a_server_that_loses_everything(redis: RedisServer) -> None:
    async with pair(redis.url()) as nodes:
        client = redis.client()

        client.flushall()

        await auntil(lambda: any(client.scan_iter(f"*:member:{ROOM}")))
        await nodes.is_well()


async def test_an_address_whose_server_becomes_a_replica(shop: Watched) -> None:
    with Proxy(shop.master.port) as address:
        async with pair(shop.master.url(address.port)) as nodes:
            await nodes.is_deaf_after(shop.promote)

            await nodes.hears_again_after(lambda: address.lead_to(shop.replica.port))


# A master that a sentinel watches


async def test_a_master_that_is_killed(shop: Watched) -> None:
    async with pair(shop.url) as nodes:
        await nodes.is_deaf_after(shop.master.stop)

        await nodes.hears_again_after(lambda: None)


async def test_a_master_that_the_sentinel_replaces_while_it_runs(shop: Watched) -> None:
    async with pair(shop.url) as nodes:
        client = shop.sentinel.client()

        await nodes.is_deaf_after(lambda: client.execute_command("SENTINEL", "FAILOVER", "shop"))

        await nodes.hears_again_after(lambda: None)


async def test_a_replica_that_is_promoted_by_hand(shop: Watched) -> None:
    async with pair(shop.url) as nodes:
        await nodes.is_deaf_after(shop.promote)

        await nodes.hears_again_after(shop.tell_sentinel)


async def test_a_master_that_is_cut_off_from_the_others_and_does_not_know_it(shop: Watched) -> None:
    async with pair(shop.url) as nodes:

        def part() -> None:
            shop.replica.client().execute_command("REPLICAOF", "NO", "ONE")
            shop.tell_sentinel()

        await nodes.is_deaf_after(part)

        await nodes.hears_again_after(lambda: None)


async def test_a_sentinel_that_is_gone_costs_nothing(shop: Watched) -> None:
    async with pair(shop.url) as nodes:
        await asyncio.to_thread(shop.sentinel.stop)

        await nodes.is_well()

        assert nodes.node.hearer.interruptions == 0


# A cluster


def at_the_first(shards: Cluster) -> str:
    """Return a prefix with which the roster lives at the first master."""
    prefixes = (f"cluster-{number}-" for number in _numbers)
    return next(prefix for prefix in prefixes if shards.owner(f"{{{prefix}broadcaster}}") == 0)


async def test_a_shard_that_is_away_makes_no_other_deaf(shards: Cluster) -> None:
    prefix = at_the_first(shards)
    owners = {topic: shards.owner(prefix + topic) for topic in TOPICS}
    assert set(owners.values()) == {0, 1, 2}
    async with pair(shards.url, prefix=prefix) as nodes:
        await nodes.is_deaf_after(shards.proxies[1].stop)

        assert nodes.node.roster.is_connected
        there = [topic for topic, owner in owners.items() if owner != 1]
        for topic in there:
            nodes.other.bus.publish(topic, b"heard")
        await auntil(lambda: all(b"heard" in nodes.node.hearer.of(topic) for topic in there))
        assert not nodes.node.bus.is_connected

        await nodes.hears_again_after(shards.proxies[1].start)


async def test_a_slot_that_moves(shards: Cluster) -> None:
    prefix = at_the_first(shards)
    async with pair(shards.url, prefix=prefix) as nodes:
        topic = prefix + TOPICS[0]
        home = shards.owner(topic)

        await nodes.is_deaf_after(lambda: shards.give(topic, to=(home + 1) % 3))
        await nodes.hears_again_after(lambda: None)

        await nodes.is_deaf_after(lambda: shards.give(topic, to=home))
        await nodes.hears_again_after(lambda: None, gaps=2)


async def test_a_slot_of_the_roster_that_moves(shards: Cluster) -> None:
    prefix = at_the_first(shards)
    async with pair(shards.url, prefix=prefix) as nodes:
        await nodes.is_deaf_after(
            lambda: shards.move(f"{{{prefix}broadcaster}}", to=1), what=lambda node: node.roster
        )

        await nodes.hears_again_after(lambda: None, gaps=0)


async def test_a_master_of_a_cluster_that_is_killed(shards_and_a_replica: Cluster) -> None:
    shards = shards_and_a_replica
    async with pair(shards.url, prefix=at_the_first(shards)) as nodes:
        await nodes.is_deaf_after(shards.servers[0].stop)

        await nodes.hears_again_after(lambda: None)


async def test_a_master_of_a_cluster_that_is_replaced_while_it_runs(shards_and_a_replica: Cluster) -> None:
    shards = shards_and_a_replica
    async with pair(shards.url, prefix=at_the_first(shards)) as nodes:
        client = shards.replica.client()

        await nodes.is_deaf_after(lambda: client.execute_command("CLUSTER FAILOVER"))

        await nodes.hears_again_after(lambda: None)


async def test_a_master_of_a_cluster_that_is_cut_off_and_does_not_know_it(
    shards_and_a_replica: Cluster,
) -> None:
    shards = shards_and_a_replica
    async with pair(shards.url, prefix=at_the_first(shards)) as nodes:
        await nodes.is_deaf_after(shards.isolate)

        await nodes.hears_again_after(lambda: None)
