"""What the tests of several homes stand on."""

import pytest

from broadcaster import BroadcastManager

from .homes import make_broadcast


@pytest.fixture
def broadcast() -> BroadcastManager:
    return make_broadcast(asynchronous=False)
