from __future__ import annotations

import logging
from pathlib import Path

import pytest

from broadcaster.errors import DeliveryError
from broadcaster.queues.redis_locks import RedisLocks
from tests.drivers.redis_servers import RedisServer
from tests.queues.contract import envelope
from tests.waits import until


def test_a_lock_is_held_by_one_until_it_is_given_back(redis_server: RedisServer) -> None:
    one_process, another = (RedisLocks(redis_server.client(), prefix="shop") for _ in range(2))
    one, other = (envelope(number, unique="a", unique_for=60.0) for number in (1, 2))

    assert one_process.take(one)
    assert not another.take(other)
    another.give_back(other)
    assert not another.take(other)
    another.give_back(one)
    assert another.take(other)


def test_a_lock_is_held_for_a_time_at_the_most(redis_server: RedisServer) -> None:
    locks = RedisLocks(redis_server.client(), prefix="shop")

    locks.take(envelope(1, unique="a", unique_for=0.2))
    locks.take(envelope(1, unique="b", unique_for=60.0))

    assert not locks.take(envelope(2, unique="b", unique_for=60.0))
    assert until(lambda: locks.take(envelope(2, unique="a", unique_for=60.0)))
    assert 59_000 < redis_server.client().pttl("shop:lock:b") <= 60_000


def test_whoever_has_a_lock_may_take_it_again(redis_server: RedisServer) -> None:
    locks = RedisLocks(redis_server.client(), prefix="shop")
    one = envelope(1, unique="a", unique_for=60.0)

    assert [locks.take(one), locks.take(one)] == [True, True]


def test_what_wants_no_lock_gets_none(redis_server: RedisServer) -> None:
    client = redis_server.client()
    locks = RedisLocks(client, prefix="shop")

    assert [locks.take(envelope(1)), locks.take(envelope(2))] == [True, True]
    assert client.keys() == []


def test_the_locks_of_one_prefix_are_not_those_of_another(redis_server: RedisServer) -> None:
    one, other = (RedisLocks(redis_server.client(), prefix=prefix) for prefix in ("shop", "blog"))

    assert one.take(envelope(1, unique="a", unique_for=60.0))
    assert other.take(envelope(2, unique="a", unique_for=60.0))


def test_a_redis_that_is_away_is_told_to_who_takes_and_not_to_who_gives_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path, password=None) as server:
        client = server.client(retry=None)
        locks = RedisLocks(client, prefix="shop")
        wanted = envelope(unique="a", unique_for=60.0)
        server.stop()

        with pytest.raises(DeliveryError, match="no lock could be had") as error:
            locks.take(wanted)
        with caplog.at_level(logging.WARNING):
            locks.give_back(wanted)

    assert error.value.retryable
    assert "the lock 'a' stays until its time is over" in caplog.text
