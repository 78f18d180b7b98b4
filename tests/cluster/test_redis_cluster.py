"""The bus and the roster in a real cluster, beyond what every bus and roster keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from broadcaster import Message
from broadcaster.cluster._redis_link import Links
from broadcaster.cluster.redis_bus import RedisBus
from broadcaster.drivers.redis import RedisDriver
from tests.drivers.redis_servers import PASSWORD, Cluster, ClusterNode, RedisServer
from tests.waits import auntil

from .contract import SECONDS, Hearer

QUICK = 0.3
SPREAD = [f"room.{number}" for number in range(30)]


@pytest.fixture
async def node(shards: Cluster) -> AsyncIterator[Hearer]:
    node = Hearer(RedisBus(shards.url, prefix="shop-", seconds=QUICK))
    await node.open()
    yield node
    await node.bus.aclose(SECONDS)


async def test_what_the_driver_publishes_in_a_cluster_is_heard(shards: Cluster, node: Hearer) -> None:
    for channel in SPREAD:
        await node.subscribe(channel)

    driver = RedisDriver(nodes=shards.addresses, password=PASSWORD, prefix="shop-")
    await driver.adeliver(Message("tick", tuple(SPREAD), "{}"))
    await driver.aclose()

    await auntil(lambda: len(node.heard) == len(SPREAD))
    assert sorted(topic for topic, _ in node.heard) == sorted(SPREAD)
    assert {json.loads(payload)["event"] for _, payload in node.heard} == {"tick"}


async def test_a_topic_is_subscribed_to_at_its_owner_and_nowhere_else(shards: Cluster, node: Hearer) -> None:
    clients = [server.client() for server in shards.servers]
    for channel in SPREAD:
        await node.subscribe(channel)

    def are_at_home() -> bool:
        return all(
            {name.decode() for name in client.execute_command("PUBSUB SHARDCHANNELS")}
            == {f"shop-{channel}" for channel in SPREAD if shards.owner(f"shop-{channel}") == number}
            and len([one for one in client.client_list() if one["ssub"] != "0"]) == 1
            for number, client in enumerate(clients)
        )

    # A link that got no answer for a moment subscribes again.
    await auntil(are_at_home)
    for channel in SPREAD:
        node.bus.unsubscribe(channel)

    await auntil(lambda: not any(client.execute_command("PUBSUB SHARDCHANNELS") for client in clients))


async def test_what_is_said_while_its_slot_moves_stays_in_order(shards: Cluster, node: Hearer) -> None:
    await node.subscribe("room")
    home = shards.owner("shop-room")

    async def publish() -> None:
        for number in range(2_000):
            node.bus.publish("room", b"%d" % number)
            await asyncio.sleep(0)

    publishing = asyncio.create_task(publish())
    await asyncio.to_thread(shards.give, "shop-room", to=(home + 1) % 3)
    await asyncio.to_thread(shards.give, "shop-room", to=home)
    await publishing
    await auntil(lambda: node.bus.is_connected)
    node.bus.publish("room", b"2000")

    await auntil(lambda: b"2000" in node.of("room"))
    # What was said again, since nobody knew whether it was said, is left out by its id.
    numbers = list(dict.fromkeys(int(payload) for payload in node.of("room")))
    assert numbers == sorted(numbers)


async def test_a_link_leads_to_the_owner_of_its_key(shards: Cluster) -> None:
    links = Links(shards.url, seconds=1.0)

    for key in SPREAD:
        link = links.link(key)
        await link.open()
        await link.send(("CONFIG", "GET", "port"))
        assert int((await link.read())[1]) == shards.servers[shards.owner(key)].port
        await link.close()


async def test_nodes_that_are_gone_are_passed_over(shards: Cluster) -> None:
    gone, silent = shards.proxies[0], shards.proxies[1]
    gone.stop()
    silent.stall()

    link = Links(shards.url, seconds=QUICK).link(next(key for key in SPREAD if shards.owner(key) == 2))
    await link.open()

    await link.close()
    gone.start()
    silent.resume()
    shards.wait()


# What is no cluster, or none that will do


async def test_a_server_that_is_in_no_cluster_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path) as server:
        bus = RedisBus(url(server), seconds=QUICK)
        bus.open(lambda topic, payload: None, lambda: None)

        await auntil(lambda: "Redis is away" in caplog.text)

        assert "cluster support disabled" in caplog.text
        assert not bus.is_connected
        await bus.aclose(SECONDS)


async def test_a_cluster_without_sharded_publish_and_subscribe_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Stands for Redis 6, as far as a newer one can."""
    with ClusterNode(tmp_path, "--rename-command", "SSUBSCRIBE", "") as server:
        server.client().execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        bus, ready = RedisBus(url(server), seconds=QUICK), asyncio.Event()
        bus.open(lambda topic, payload: None, lambda: None)

        bus.subscribe("room", ready.set)
        async with asyncio.timeout(SECONDS):
            await ready.wait()

        assert "it has no sharded publish and subscribe: a cluster needs Redis 7 or newer" in caplog.text
        assert not bus.is_connected
        await bus.aclose(SECONDS)


def url(server: RedisServer) -> str:
    return f"redis+cluster://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
