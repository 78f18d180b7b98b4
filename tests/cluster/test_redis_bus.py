from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from broadcaster import ConfigurationError
from broadcaster.cluster.bus import Bus
from broadcaster.cluster.redis_bus import RedisBus
from tests.cluster.contract import SECONDS, BusContract, Hearer
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import Cluster, RedisServer, Watched
from tests.waits import auntil

QUICK = 0.2


class TestRedisBus(BusContract):
    prefix = ""

    @pytest.fixture(autouse=True)
    def _together(self, redis: RedisServer) -> None:
        self.url = redis.url()

    def bus(self) -> Bus:
        return RedisBus(self.url, prefix=self.prefix)


class TestRedisBusWithAPrefix(TestRedisBus):
    prefix = "shop-database-"


class TestRedisBusOfAMasterThatSentinelsName(BusContract):
    @pytest.fixture(autouse=True)
    def _together(self, shop: Watched) -> None:
        self.url = shop.url

    def bus(self) -> Bus:
        return RedisBus(self.url)


class TestRedisBusOfACluster(BusContract):
    @pytest.fixture(autouse=True)
    def _together(self, shards: Cluster) -> None:
        self.url = shards.url

    def bus(self) -> Bus:
        return RedisBus(self.url)


def test_an_address_that_is_none_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="no address of a Redis") as refused:
        RedisBus("http://:hush@example.com")

    assert "hush" not in str(refused.value)


async def test_a_topic_is_subscribed_to_on_redis_only_while_somebody_wants_it(redis: RedisServer) -> None:
    node = Hearer(RedisBus(redis.url()))
    await node.open()
    client = redis.client()

    await node.subscribe("orders")
    assert client.pubsub_channels() == [b"orders"]
    node.bus.unsubscribe("orders")

    await auntil(lambda: client.pubsub_channels() == [])
    await node.bus.aclose(SECONDS)


# Redis goes away


async def test_after_a_break_everything_is_heard_again(
    redis: RedisServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    node, other = Hearer(RedisBus(redis.url(proxy.port), seconds=SECONDS)), Hearer(RedisBus(redis.url()))
    await node.open()
    await other.open()
    for number in range(1_200):
        await node.subscribe(f"topic-{number}") if number % 400 == 0 else node.bus.subscribe(
            f"topic-{number}", lambda: None
        )

    await asyncio.to_thread(proxy.break_connections)
    await auntil(lambda: node.interruptions == 1)
    for number in range(1_200):
        other.bus.publish(f"topic-{number}", b"heard")

    await auntil(lambda: len(node.heard) == 1_200)
    assert (
        caplog.messages.count(
            "Redis is back: other nodes are heard again; what they said meanwhile is not, but on channels"
            " with a history"
        )
        == 1
    )
    for one in (node, other):
        await one.bus.aclose(SECONDS)


@pytest.mark.parametrize("trouble", ["stop", "stall", "garble"])
async def test_while_redis_is_away_nobody_waits_and_what_is_said_is_said_later(
    redis: RedisServer, proxy: Proxy, trouble: str
) -> None:
    node, other = Hearer(RedisBus(redis.url(proxy.port), seconds=QUICK)), Hearer(RedisBus(redis.url()))
    await node.open()
    await other.open()
    await other.subscribe("orders")

    await asyncio.to_thread(getattr(proxy, trouble))
    await auntil(lambda: not node.bus.is_connected)
    await node.subscribe("news")
    for number in range(100):
        node.bus.publish("orders", b"%d" % number)
    assert other.heard == []
    await asyncio.to_thread(proxy.start if trouble == "stop" else proxy.resume)

    await auntil(lambda: node.interruptions and node.bus.is_connected)
    await auntil(lambda: set(other.of("orders")) == {b"%d" % number for number in range(100)})
    other.bus.publish("news", b"heard")
    await auntil(lambda: node.of("news"))
    for one in (node, other):
        await one.bus.aclose(SECONDS)


async def test_what_waits_is_heard_by_nodes_that_find_redis_again_a_little_later(
    redis: RedisServer, proxy: Proxy
) -> None:
    with Proxy(redis.port) as later:
        node = Hearer(RedisBus(redis.url(proxy.port), seconds=QUICK))
        other = Hearer(RedisBus(redis.url(later.port), seconds=QUICK))
        await node.open()
        await other.open()
        await other.subscribe("orders")
        opened = proxy.connections

        await asyncio.to_thread(proxy.stop)
        await asyncio.to_thread(later.stop)
        await auntil(lambda: not node.bus.is_connected and not other.bus.is_connected)
        node.bus.publish("orders", b"late")
        await asyncio.to_thread(proxy.start)
        await auntil(lambda: proxy.connections == opened + 2)
        await asyncio.to_thread(later.start)

        await auntil(lambda: other.heard == [("orders", b"late")])
        await node.bus.aclose(SECONDS)
        await other.bus.aclose(SECONDS)


async def test_a_redis_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    node = Hearer(RedisBus(server.url(), seconds=QUICK))
    opening = asyncio.create_task(node.open())

    await node.subscribe("orders")
    await asyncio.to_thread(server.start)
    await opening
    server.client().publish("orders", "heard")

    await auntil(lambda: node.heard == [("orders", b"heard")])
    await node.bus.aclose(SECONDS)
    await asyncio.to_thread(server.stop)


async def test_a_redis_that_is_paused_is_left_and_found_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--enable-debug-command", "local") as server:
        node = Hearer(RedisBus(server.url(), seconds=QUICK))
        await node.open()
        await node.subscribe("orders")

        await asyncio.to_thread(server.client().execute_command, "DEBUG", "SLEEP", "1")
        await auntil(lambda: node.interruptions == 1)
        server.client().publish("orders", "heard")

        await auntil(lambda: node.heard == [("orders", b"heard")])
        await node.bus.aclose(SECONDS)


async def test_what_waits_for_redis_is_bounded_and_what_is_lost_is_counted(
    redis: RedisServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    node = Hearer(RedisBus(redis.url(proxy.port), seconds=QUICK))
    await node.open()
    await asyncio.to_thread(proxy.stop)
    await auntil(lambda: not node.bus.is_connected)

    for _ in range(70):
        node.bus.publish("orders", bytes(1_048_576))

    assert "messages for other nodes lost: 1" in caplog.text
    await node.bus.aclose(SECONDS)


async def test_a_wrong_password_is_told(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    node = Hearer(RedisBus(f"redis://:hush@127.0.0.1:{redis.port}", seconds=QUICK))
    opening = asyncio.create_task(node.open())

    await auntil(lambda: "Redis is away" in caplog.text)

    assert "WRONGPASS" in caplog.text or "invalid" in caplog.text
    assert "hush" not in caplog.text
    opening.cancel()
    await node.bus.aclose(SECONDS)


async def test_a_hearer_that_fails_does_not_make_the_node_deaf(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    bus, heard = RedisBus(redis.url(), seconds=QUICK), []

    def hear(_: str, payload: bytes) -> None:
        heard.append(payload)
        if payload == b"bad":
            raise ZeroDivisionError

    bus.open(hear, lambda: heard.append(b"interrupted"))
    await auntil(lambda: bus.is_connected)
    bus.subscribe("orders", lambda: bus.publish("orders", b"bad"))

    await auntil(lambda: b"interrupted" in heard)
    bus.publish("orders", b"good")

    await auntil(lambda: heard[-1] == b"good")
    assert "ZeroDivisionError" in caplog.text
    await bus.aclose(SECONDS)
