"""The Redis driver against a real cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
from redis.crc import key_slot

from broadcaster import DeliveryError, Message
from broadcaster.drivers.redis import RedisDriver
from broadcaster.testing.contracts.drivers import DriverContract, RemoteDriverContract, Verb
from tests.drivers.redis_peers import PREFIX, RedisPeer, ShardedPeer
from tests.drivers.redis_servers import PASSWORD, Cluster, RedisServer, cluster

Make = Callable[..., RedisDriver]
SPREAD = [f"room.{number}" for number in range(30)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def everywhere(nodes: Cluster) -> Iterator[RedisPeer]:
    peer = RedisPeer(nodes.servers, nodes.proxies, nodes=nodes.addresses, sharded=False)
    yield peer
    peer.close()


@pytest.fixture
def sharded(nodes: Cluster) -> Iterator[ShardedPeer]:
    peer = ShardedPeer(nodes.servers, nodes.proxies, nodes=nodes.addresses)
    yield peer
    peer.close()


class TestShardedCluster(RemoteDriverContract):
    @pytest.fixture
    def peer(self, sharded: ShardedPeer) -> ShardedPeer:
        return sharded

    def test_every_node_takes_its_part_at_once(self, nodes: Cluster, driver: RedisDriver, verb: Verb) -> None:
        messages = [Message("tick", (channel,), "{}") for channel in SPREAD]
        verb.deliver_many(driver, messages)

        clients = [server.client() for server in nodes.servers]
        reads(clients)

        before = reads(clients)
        verb.deliver_many(driver, messages)
        after = reads(clients)

        # To ask costs one.
        assert [new - old - 1 for new, old in zip(after, before, strict=True)] == [1, 1, 1]

    def test_one_node_that_is_gone_stops_only_what_it_owns(
        self, peer: ShardedPeer, make: Make, verb: Verb
    ) -> None:
        driver = make(retries=0)
        peer.listen(*SPREAD)
        verb.deliver(driver, Message("tick", tuple(SPREAD), "{}"))
        peer.received(len(SPREAD))
        peer.proxies[1].stop()

        for channel in SPREAD:
            message = Message("tick", (channel,), "{}")
            if owner(channel) == 1:
                with pytest.raises(DeliveryError, match="no connection to") as caught:
                    verb.deliver(driver, message)
                assert caught.value.retryable
            else:
                verb.deliver(driver, message)

        reached = [channel for channel in SPREAD if owner(channel) != 1]
        arrived = peer.received(len(SPREAD) + len(reached))[len(SPREAD) :]
        assert sorted(received.channel for received in arrived) == sorted(reached)

    def test_a_channel_that_moved_is_followed(
        self, nodes: Cluster, peer: ShardedPeer, make: Make, verb: Verb
    ) -> None:
        driver = make(retries=0)
        before, after = (Message("tick", ("lobby",), json.dumps({"n": number})) for number in range(2))
        peer.listen("lobby")
        verb.deliver(driver, before)
        self.check(peer, [before])
        home = owner("lobby")

        try:
            nodes.give(PREFIX + "lobby", to=(home + 1) % 3)
            peer.listen_at((home + 1) % 3, "lobby")
            verb.deliver(driver, after)
            self.check(peer, [before, after])
        finally:
            nodes.give(PREFIX + "lobby", to=home)


class TestClusterThatTellsEveryNode(DriverContract):
    @pytest.fixture
    def peer(self, everywhere: RedisPeer) -> RedisPeer:
        return everywhere

    def test_one_node_that_is_gone_stops_nothing(
        self, peer: RedisPeer, driver: RedisDriver, verb: Verb
    ) -> None:
        messages = [Message("tick", (channel,), "{}") for channel in SPREAD]
        peer.listen(*SPREAD)

        for gone in peer.proxies:
            gone.stop()
            verb.deliver_many(driver, messages)
            gone.start()

        self.check(peer, messages * 3)


def test_a_server_that_is_in_no_cluster_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        driver = RedisDriver(nodes=[f"127.0.0.1:{server.port}"], password=PASSWORD)

        with pytest.raises(DeliveryError, match="cluster support disabled") as caught:
            driver.deliver(Message("ping", ("lobby",), "{}"))

        assert not caught.value.retryable
        driver.close()


def owner(channel: str) -> int:
    return key_slot((PREFIX + channel).encode()) * 3 // 16_384


def reads(clients: Sequence[redis.Redis]) -> list[int]:
    return [client.info("stats")["total_reads_processed"] for client in clients]
