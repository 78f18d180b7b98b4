"""kombu's own queue on Redis, so far as ours differs from it, on a real one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from broadcaster.queues.celery import CeleryQueue, _application
from tests.drivers.redis_servers import RedisServer
from tests.queues.contract import Drivers, envelope
from tests.queues.workers import working
from tests.waits import until

LINE = "broadcaster:celery:default"
HELD = "broadcaster:celery:unacked"
SINCE = "broadcaster:celery:unacked_index"


@pytest.fixture
def drivers() -> Drivers:
    return Drivers()


@pytest.fixture
def queue(drivers: Drivers, redis_server: RedisServer) -> Iterator[CeleryQueue]:
    queue = CeleryQueue(drivers, url=redis_server.url())
    yield queue
    queue.close()


@pytest.fixture
def channel(redis_server: RedisServer) -> Iterator[Any]:
    """Return what a worker would take from, without the worker."""
    with _application(redis_server.url(), "broadcaster").connection_for_read() as connection:
        yield connection.channel()


def test_a_job_is_held_before_its_worker_hears_of_it(
    queue: CeleryQueue, channel: Any, drivers: Drivers, redis_server: RedisServer
) -> None:
    redis = redis_server.client()
    queue.push([envelope(1)])
    [waiting] = redis.lrange(LINE, 0, -1)

    channel.basic_consume("default", no_ack=False, callback=lambda message: None, consumer_tag="dying")
    channel.connection.cycle.on_poll_start()
    until(lambda: not redis.llen(LINE))
    # It dies, and has read nothing.
    channel.client.connection.disconnect()

    [noted] = redis.hvals(HELD)
    assert json.loads(noted) == [json.loads(waiting), "", "default"]
    [(tag, _)] = redis.zrange(SINCE, 0, -1, withscores=True)
    redis.zadd(SINCE, {tag: 1})
    with working(queue):
        until(lambda: drivers.scripted.ids == ["message-1"])
    assert not redis.exists(HELD, SINCE)


def test_what_is_looked_at_is_held_and_what_is_dropped_is_not(
    queue: CeleryQueue, channel: Any, redis_server: RedisServer
) -> None:
    redis = redis_server.client()
    queue.push([envelope(1), envelope(2)])

    channel.basic_get("default", no_ack=True)
    assert not redis.exists(HELD, SINCE)
    message = channel.basic_get("default")
    assert redis.hkeys(HELD) == redis.zrange(SINCE, 0, -1) == [message.delivery_tag.encode()]
    message.ack()

    assert channel.basic_get("default") is None
    assert not redis.keys("broadcaster:celery:unacked*")


def test_what_is_due_first_comes_back_first_and_before_what_waits(
    queue: CeleryQueue, channel: Any, redis_server: RedisServer
) -> None:
    redis = redis_server.client()
    queue.push([envelope(number) for number in range(1, 5)])
    tags = [channel.basic_get("default").delivery_tag for _ in range(3)]
    redis.zadd(SINCE, {tags[1]: 1.0, tags[0]: 2.0})

    channel.qos.restore_visible()

    raws = [json.loads(raw) for raw in redis.lrange(LINE, 0, -1)]
    assert [raw["properties"]["delivery_tag"] for raw in raws[1:]] == [tags[1], tags[0]]
    ways = [raw["properties"]["delivery_info"] for raw in raws]
    assert [way.get("redelivered") for way in ways] == [None, True, True]
    assert redis.hkeys(HELD) == [tags[2].encode()]


def test_what_another_worker_has_taken_since_is_left_to_it(
    queue: CeleryQueue, channel: Any, redis_server: RedisServer
) -> None:
    redis = redis_server.client()
    queue.push([envelope(1)])
    tag = channel.basic_get("default").delivery_tag
    [noted] = redis.hvals(HELD)

    channel.qos._give_back(redis, tag, noted, push="RPUSH", until=time.time() - 60)
    assert (redis.llen(LINE), redis.hlen(HELD)) == (0, 1)
    for _ in range(2):
        channel.qos._give_back(redis, tag, noted, push="RPUSH", until=time.time() + 60)

    assert (redis.llen(LINE), redis.hlen(HELD), redis.zcard(SINCE)) == (1, 0, 0)


def test_what_is_held_and_nowhere_is_in_nobodys_way(channel: Any, redis_server: RedisServer) -> None:
    redis = redis_server.client()
    redis.zadd(SINCE, {f"gone-{number}": 1 for number in range(100)})

    channel.qos.restore_visible()

    assert not redis.exists(SINCE)


def test_a_worker_outlives_a_redis_that_is_full(
    queue: CeleryQueue, drivers: Drivers, redis_server: RedisServer
) -> None:
    redis = redis_server.client()
    redis.config_resetstat()

    with working(queue):
        until(lambda: redis.info("commandstats").get("cmdstat_blmove"))
        try:
            redis.config_set("maxmemory", 1)
            until(lambda: redis.info("commandstats")["cmdstat_blmove"]["rejected_calls"] > 2)
        finally:
            redis.config_set("maxmemory", 0)
        queue.push([envelope(1)])
        until(lambda: drivers.scripted.delivered)


def test_a_worker_of_several_queues_hears_of_each(
    queue: CeleryQueue, drivers: Drivers, redis_server: RedisServer
) -> None:
    redis = redis_server.client()
    redis.config_resetstat()

    with working(queue, queues=("urgent", "default")):
        until(lambda: redis.info("commandstats").get("cmdstat_blmove"))
        queue.push([envelope(1)])
        until(lambda: drivers.scripted.delivered)


def test_the_url_still_says_whether_there_is_tls() -> None:
    connection = _application("rediss://h:6380/1", "broadcaster").connection_for_write()

    assert connection.ssl
    assert connection.as_uri() == "rediss://:**@h:6380/1"
