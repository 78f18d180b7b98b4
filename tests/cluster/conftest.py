"""Redis as the tests of this folder need it: for each module one server, a watched master, a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import Cluster, RedisServer, Watched, cluster, watched


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis.port) as proxy:
        yield proxy
