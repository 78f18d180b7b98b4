"""A real Redis and a real RabbitMQ for the tests of what queues on them."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.drivers.redis_servers import RedisServer
from tests.queues.rabbitmq_server import RabbitServer


@pytest.fixture(scope="session")
def _one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password=None) as server:
        yield server


@pytest.fixture
def redis_server(_one_redis: RedisServer) -> Iterator[RedisServer]:
    """Return a server that is empty; whoever wants to stop one starts one of its own."""
    yield _one_redis
    _one_redis.client().flushall()


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """Return the one node of the session; whoever pushes has a prefix of its own."""
    with RabbitServer(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def litter() -> Iterator[None]:
    """Take away the sockets that RabbitMQ's client leaves lying about where it could not connect."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        yield
        gc.collect()
