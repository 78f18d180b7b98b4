from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.queues.failed import Failed, FailedStore
from broadcaster.queues.redis_failed import RedisFailedStore
from tests.drivers.redis_servers import RedisServer
from tests.queues.test_failed import FailedStoreContract


class TestRedisFailedStore(FailedStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def store(self) -> FailedStore:
        return RedisFailedStore(self.server.client(), prefix="shop")


def test_on_redis_the_oldest_makes_room(redis_server: RedisServer) -> None:
    store = RedisFailedStore(redis_server.client(), prefix="shop", most=2)
    for number in range(3):
        store.add(Failed(b"%d" % number, "away", 0.0))

    assert [kept.body for kept in store.list()] == [b"2", b"1"]


@pytest.mark.parametrize("failed_id", ["", "7", "-", "+", "(1-1", "nonsense", "1-1 2-2", "\u0661-1"])
def test_what_is_no_id_finds_nothing(redis_server: RedisServer, failed_id: str) -> None:
    store = RedisFailedStore(redis_server.client(), prefix="shop")
    store.add(Failed(b"x", "away", 0.0))

    assert store.find(failed_id) is None
    assert not store.forget(failed_id)


def test_a_reason_may_hold_what_is_no_text(redis_server: RedisServer) -> None:
    store = RedisFailedStore(redis_server.client(), prefix="shop")

    store.add(Failed(b"x", "no file \udcff", 0.0))

    assert [kept.reason for kept in store.list()] == ["no file \\udcff"]


def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password=None) as server:
        store = RedisFailedStore(server.client(retry=None), prefix="shop")
        server.stop()

        with pytest.raises(OSError, match="the failed store on Redis cannot be reached"):
            store.count()
