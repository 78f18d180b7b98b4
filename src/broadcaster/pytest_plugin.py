"""The pytest plugin `broadcasting`: a fixture that captures what any manager sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from broadcaster.testing import Outbox

__all__ = ["broadcasting"]

# Whoever subclasses a contract shall see what its assertions compared.
pytest.register_assert_rewrite("broadcaster.testing.contracts")


@pytest.fixture
def broadcasting() -> Iterator[Outbox]:
    """Capture everything that is sent during the test, by every manager; the value is the `Outbox`."""
    # Imported here: a plugin is loaded before the tests are, and coverage should see the package load.
    from broadcaster.testing import capture

    with capture() as outbox:
        yield outbox
