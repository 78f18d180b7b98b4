from __future__ import annotations

from collections.abc import Sequence

import pytest

from broadcaster import Message
from broadcaster.drivers.null import NullDriver
from broadcaster.testing.contracts.drivers import DriverContract, Peer, Received

MESSAGE = Message("ping", ("lobby",), "{}")


async def test_whatever_it_gets_it_drops() -> None:
    driver = NullDriver()

    driver.deliver(MESSAGE)
    driver.deliver_many([MESSAGE, MESSAGE])
    await driver.adeliver(MESSAGE)
    await driver.adeliver_many([MESSAGE, MESSAGE])

    assert vars(driver) == {}


async def test_it_holds_nothing_that_closing_would_end() -> None:
    driver = NullDriver()
    driver.close()
    await driver.aclose()

    driver.deliver(MESSAGE)

    assert driver.name == "null"


class Nowhere:
    """What the null driver delivers to."""

    socket_id = "12.34"

    def driver(self, *, timeout: float | None = None, retries: int | None = None) -> NullDriver:
        return NullDriver()

    def listen(self, *channels: str) -> None:
        """Nothing to do: nothing comes."""

    def received(self, count: int) -> list[Received]:
        return []


class TestNullDriver(DriverContract):
    @pytest.fixture
    def peer(self) -> Nowhere:
        return Nowhere()

    def check(self, peer: Peer, messages: Sequence[Message]) -> None:
        """Whatever is delivered, nothing arrives, and nothing goes wrong."""
        assert peer.received(0) == []

    check_all = check
