"""A real HTTP server for the tests of what sends requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.loopback import Loopback


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """Run a server for one test."""
    with Loopback() as server:
        yield server
