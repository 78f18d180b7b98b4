from collections.abc import Iterator

import pytest

from broadcaster.server import ServerThread
from tests.drivers.redis_servers import RedisServer
from tests.server.clients import APP
from tests.server.peers import node


@pytest.fixture
def server() -> Iterator[ServerThread]:
    """A real server on a free port of this machine."""
    with ServerThread([APP], port=0) as thread:
        yield thread


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for a module."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def nodes(redis: RedisServer) -> Iterator[tuple[ServerThread, ServerThread]]:
    """Two servers that hear each other."""
    with node(redis.url()) as one, node(redis.url()) as other:
        yield one, other
