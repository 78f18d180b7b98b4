"""The Redis driver against a real master, its replica, and a sentinel that watches them."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.client import PubSub

from broadcaster import DeliveryError, Message
from broadcaster.drivers.redis import RedisDriver
from broadcaster.testing.contracts.drivers import Verb
from broadcaster.testing.contracts.drivers.verbs import AsyncVerb, BlockingVerb
from tests.drivers.redis_servers import PASSWORD, SECONDS, RedisServer, Sentinel, Watched, eventually, watched

PING = Message("ping", ("lobby",), "{}")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as running:
        yield running


@pytest.fixture(params=[BlockingVerb, AsyncVerb], ids=["deliver", "adeliver"])
def verb(request: pytest.FixtureRequest) -> Iterator[Verb]:
    verb: Verb = request.param()
    yield verb
    verb.end()


def driver_of(shop: Watched, **options: Any) -> RedisDriver:
    address = f"127.0.0.1:{shop.sentinel.port}"
    options = {"sentinels": [address], "sentinel_service": "shop", "password": PASSWORD, **options}
    return RedisDriver(**options)


def tick(number: int) -> Message:
    return Message("tick", ("lobby",), json.dumps({"n": number}))


@contextmanager
def listening(server: RedisServer) -> Iterator[PubSub]:
    with server.client().pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.subscribe("lobby")
        subscriber.get_message(timeout=SECONDS)
        yield subscriber


def numbers(subscriber: PubSub, count: int) -> list[int]:
    got = [eventually(lambda: subscriber.get_message(timeout=1.0)) for _ in range(count)]
    return [json.loads(one["data"])["data"]["n"] for one in got]


@pytest.mark.parametrize("verb", [AsyncVerb], indirect=True)
def test_a_master_that_dies_is_replaced(shop: Watched, verb: Verb) -> None:
    driver = driver_of(shop)
    with listening(shop.master) as subscriber:
        verb.deliver(driver, tick(1))
        assert numbers(subscriber, 1) == [1]

    shop.master.stop()
    with pytest.raises(DeliveryError) as caught:
        verb.deliver(driver, PING)
    eventually(lambda: shop.named() == shop.replica.port)

    assert caught.value.retryable
    with listening(shop.replica) as subscriber:
        verb.deliver(driver, tick(2))
        verb.deliver_many(driver, [tick(3), tick(4)])
        assert numbers(subscriber, 3) == [2, 3, 4]
    verb.close(driver)


@pytest.mark.parametrize("verb", [BlockingVerb], indirect=True)
def test_a_master_that_becomes_a_replica_is_left(shop: Watched, verb: Verb) -> None:
    driver = driver_of(shop)
    verb.deliver(driver, PING)
    old = shop.master.client()

    shop.sentinel.client().execute_command("SENTINEL FAILOVER", "shop")
    eventually(lambda: shop.named() == shop.replica.port)
    # What the sentinel does some seconds later.
    old.execute_command("REPLICAOF", "127.0.0.1", shop.replica.port)
    old.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")

    with listening(shop.replica) as subscriber:
        verb.deliver(driver, tick(1))
        assert numbers(subscriber, 1) == [1]
    verb.close(driver)


def test_a_sentinel_that_has_not_heard_is_not_believed(shop: Watched, verb: Verb) -> None:
    with sentinel_that_names(shop.replica.port) as stale, listening(shop.master) as subscriber:
        driver = driver_of(shop, sentinels=[stale, f"127.0.0.1:{shop.sentinel.port}"], retries=1)

        verb.deliver(driver, tick(1))

        assert numbers(subscriber, 1) == [1]
        verb.close(driver)


def test_only_a_stale_sentinel_is_an_error(shop: Watched, verb: Verb) -> None:
    with sentinel_that_names(shop.replica.port) as stale:
        driver = driver_of(shop, sentinels=[stale], retries=0)

        with pytest.raises(DeliveryError, match="it is not the master any more") as caught:
            verb.deliver(driver, PING)

        assert caught.value.retryable
        verb.close(driver)


def test_a_service_that_no_sentinel_knows_is_no_matter_of_time(shop: Watched, verb: Verb) -> None:
    driver = driver_of(shop, sentinel_service="stock")

    with pytest.raises(DeliveryError, match="no sentinel knows the master 'stock'") as caught:
        verb.deliver(driver, PING)

    assert not caught.value.retryable
    verb.close(driver)


def test_a_sentinel_may_want_a_password(shop: Watched, verb: Verb, tmp_path_factory: Any) -> None:
    with Sentinel(tmp_path_factory.mktemp("sentinel"), shop.master, password=PASSWORD) as strict:
        address = f"127.0.0.1:{strict.port}"
        stranger = driver_of(shop, sentinels=[address])
        friend = driver_of(shop, sentinels=[address], sentinel_password=PASSWORD)

        with pytest.raises(DeliveryError, match="check the sentinel_password") as caught:
            verb.deliver(stranger, PING)
        verb.deliver(friend, PING)
        verb.close(friend)

    assert not caught.value.retryable


@contextmanager
def sentinel_that_names(port: int) -> Iterator[str]:
    """Stand in for a sentinel that missed a failover, as far as one can be made to at will."""
    answer = command_like(["127.0.0.1", str(port)])

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(1_000):
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(SECONDS)


def command_like(words: Sequence[str]) -> bytes:
    lines = [f"*{len(words)}", *(line for word in words for line in (f"${len(word)}", word)), ""]
    return "\r\n".join(lines).encode()
