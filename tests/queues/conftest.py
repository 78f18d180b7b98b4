"""A real Redis for the tests of what queues on one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.redis_servers import RedisServer


@pytest.fixture(scope="session")
def _one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password=None) as server:
        yield server


@pytest.fixture
def redis_server(_one_redis: RedisServer) -> Iterator[RedisServer]:
    """Return a server that is empty; whoever wants to stop one starts one of its own."""
    yield _one_redis
    _one_redis.client().flushall()
