from collections.abc import Iterator

import pytest

from broadcaster.server import ServerThread
from tests.server.clients import APP


@pytest.fixture
def server() -> Iterator[ServerThread]:
    """A real server on a free port of this machine."""
    with ServerThread([APP], port=0) as thread:
        yield thread
