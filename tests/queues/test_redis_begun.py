from __future__ import annotations

import pytest
import redis

from broadcaster.queues._redis_begun import RedisBegun
from tests.drivers.redis_servers import RedisServer
from tests.ports import free_port


def test_what_is_begun_and_never_ended_is_counted(redis_server: RedisServer) -> None:
    begun = RedisBegun(redis_server.client(), prefix="shop")

    assert begun.begin(["a", "b"]) == [0, 0]
    begun.end(["b"])

    assert begun.begin(["a", "b"]) == [1, 0]
    # What was begun and not ended is begun again only alone.
    assert begun.begin(["a", "b"]) == [1, 1]
    assert [begun.begin(["a"]) for _ in range(2)] == [[1], [2]]
    begun.end(["a", "b"])
    begun.end([])
    assert redis_server.client().keys() == []


def test_what_nobody_ends_is_forgotten_after_a_day(redis_server: RedisServer) -> None:
    RedisBegun(redis_server.client(), prefix="shop").begin(["a"])

    assert 86_000 < redis_server.client().ttl("shop:begun:a") <= 86_400


def test_a_redis_that_is_away_is_told() -> None:
    with pytest.raises(OSError, match="the Redis of the queue cannot be reached"):
        RedisBegun(redis.Redis(port=free_port()), prefix="shop").begin(["a"])
