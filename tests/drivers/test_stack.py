from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from broadcaster import DeliveryError, Message
from broadcaster.drivers.base import Driver
from broadcaster.drivers.stack import StackDriver
from broadcaster.testing.contracts.drivers import DriverContract
from tests.drivers.shelf import PING, VERBS, Shelf
from tests.recording import RecordingDriver


class TestFirstOfAStack(DriverContract):
    @pytest.fixture
    def peer(self) -> Shelf[StackDriver]:
        return Shelf(StackDriver, member="first")


class TestSecondOfAStack(DriverContract):
    @pytest.fixture
    def peer(self) -> Shelf[StackDriver]:
        return Shelf(StackDriver, member="second")


@pytest.fixture(params=VERBS)
def deliver(request: pytest.FixtureRequest) -> Callable[[Driver], None]:
    return VERBS[request.param]


class Refusing(RecordingDriver):
    """Fails in a way that trying again does not mend."""

    def deliver(self, message: Message) -> None:
        raise DeliveryError("wrong key", driver="refusing", status=401)

    async def adeliver(self, message: Message) -> None:
        self.deliver(message)

    def deliver_many(self, messages: object) -> None:
        self.deliver(PING)

    async def adeliver_many(self, messages: object) -> None:
        self.deliver(PING)


def test_a_failure_does_not_keep_the_others_from_it_and_is_told(deliver: Callable[[Driver], None]) -> None:
    last = RecordingDriver()
    stack = StackDriver({"eu": RecordingDriver(refuses="gone"), "us": Refusing(), "asia": last})

    with pytest.raises(DeliveryError) as caught:
        deliver(stack)

    error = caught.value
    assert PING in last.delivered
    assert str(error) == (
        "driver 'stack': 2 of 3 drivers failed: eu: driver 'recording': gone; "
        "us: driver 'refusing': wrong key"
    )
    assert {name: failure.status for name, failure in error.failures.items()} == {"eu": None, "us": 401}
    assert (error.driver, error.retryable, error.status) == ("stack", True, None)


def test_what_no_repetition_mends_is_not_retryable(deliver: Callable[[Driver], None]) -> None:
    with pytest.raises(DeliveryError) as caught:
        deliver(StackDriver({"null": RecordingDriver(), "us": Refusing()}))

    assert not caught.value.retryable


def test_a_batch_stays_a_batch() -> None:
    members = {"first": RecordingDriver(), "second": RecordingDriver()}

    StackDriver(members).deliver_many([PING] * 3)

    assert [member.batches for member in members.values()] == [[3], [3]]


class Meeting(RecordingDriver):
    """Delivers once all have begun to."""

    def __init__(self, barrier: asyncio.Barrier) -> None:
        super().__init__()
        self._barrier = barrier

    async def adeliver(self, message: Message) -> None:
        await self._barrier.wait()


async def test_coroutines_wait_for_all_drivers_at_once() -> None:
    barrier = asyncio.Barrier(2)

    async with asyncio.timeout(5):
        await StackDriver({"first": Meeting(barrier), "second": Meeting(barrier)}).adeliver(PING)


class Broken(RecordingDriver):
    """A driver with a mistake in it."""

    def deliver(self, message: Message) -> None:
        raise KeyError("mistake")

    async def adeliver(self, message: Message) -> None:
        raise KeyError("mistake")


@pytest.mark.parametrize("waits", [False, True])
def test_a_mistake_in_a_driver_is_not_taken_for_a_failure_to_deliver(waits: bool) -> None:
    stack = StackDriver({"first": RecordingDriver(refuses="gone"), "second": Broken()})

    with pytest.raises(KeyError):
        asyncio.run(stack.adeliver(PING)) if waits else stack.deliver(PING)


def test_members_are_left_to_whoever_made_them() -> None:
    member = RecordingDriver()
    stack = StackDriver({"first": member})

    stack.close()
    asyncio.run(stack.aclose())

    assert member.closed == 0
