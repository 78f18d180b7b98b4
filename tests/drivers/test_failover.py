from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest

from broadcaster import DeliveryError, Message
from broadcaster.drivers.base import Driver
from broadcaster.drivers.failover import FailoverDriver
from broadcaster.testing.contracts.drivers import DriverContract
from tests.drivers.shelf import PING, VERBS, Shelf
from tests.recording import RecordingDriver


class TestFailover(DriverContract):
    @pytest.fixture
    def peer(self) -> Shelf[FailoverDriver]:
        return Shelf(FailoverDriver, member="first")


class Fickle(RecordingDriver):
    """Fails as long as *error* is set; `asked` counts the attempts."""

    name = "fickle"

    def __init__(self, *, status: int | None = None, retryable: bool = True) -> None:
        super().__init__()
        self.error: DeliveryError | None = DeliveryError(
            "gone", driver=self.name, status=status, retryable=retryable
        )
        self.asked = 0

    def _take(self, messages: Sequence[Message]) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        super()._take(messages)


class Clock:
    """The monotonic clock that failover reads."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("broadcaster.drivers.failover.time", clock)
    return clock


@pytest.fixture(params=VERBS)
def deliver(request: pytest.FixtureRequest) -> Callable[[Driver], None]:
    return VERBS[request.param]


Deliver = Callable[[Driver], None]


@pytest.mark.parametrize("status", [None, 401, 413, 500])
def test_the_next_driver_takes_what_the_first_does_not(deliver: Deliver, status: int | None) -> None:
    first, second = Fickle(status=status), RecordingDriver()

    deliver(FailoverDriver({"first": first, "second": second}))

    assert first.asked == 1
    assert PING in second.delivered


def test_the_first_driver_that_delivers_is_the_last_one_asked(deliver: Deliver) -> None:
    second = RecordingDriver()

    deliver(FailoverDriver({"first": RecordingDriver(), "second": second}))

    assert second.delivered == []


def test_when_none_delivers_the_error_tells_of_all(deliver: Deliver) -> None:
    refusing = Fickle(status=401, retryable=False)

    with pytest.raises(DeliveryError) as caught:
        deliver(FailoverDriver({"eu": Fickle(), "us": refusing}))

    error = caught.value
    assert str(error) == (
        "driver 'failover': none of 2 drivers took the message: "
        "eu: driver 'fickle': gone; us: driver 'fickle': gone"
    )
    assert {name: failure.status for name, failure in error.failures.items()} == {"eu": None, "us": 401}
    assert (error.retryable, error.driver) == (True, "failover")


def test_when_all_refuse_for_good_the_error_is_not_retryable(deliver: Deliver) -> None:
    with pytest.raises(DeliveryError) as caught:
        deliver(FailoverDriver({"eu": Fickle(status=413, retryable=False)}))

    assert not caught.value.retryable


def test_a_driver_that_keeps_failing_is_passed_over_and_comes_back(
    deliver: Deliver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "broadcaster")
    first, second = Fickle(), RecordingDriver()
    failover = FailoverDriver({"eu": first, "us": second}, failures=2, cooldown=30)

    for _ in range(5):
        deliver(failover)
    assert first.asked == 2
    first.error = None
    clock.now += 29
    deliver(failover)
    assert first.asked == 2
    clock.now += 1
    deliver(failover)
    deliver(failover)

    assert first.asked == 4
    assert PING in first.delivered
    assert len(second.batches) == 6
    assert [record.getMessage() for record in caplog.records] == [
        "driver 'eu' failed, others are tried: driver 'fickle': gone",
        "driver 'eu' is passed over for 30 s: driver 'fickle': gone",
        "driver 'eu' delivers again",
    ]


def test_a_driver_still_gone_after_its_rest_is_asked_once_and_rests_again(
    deliver: Deliver, clock: Clock
) -> None:
    first = Fickle()
    failover = FailoverDriver({"eu": first, "us": RecordingDriver()}, failures=1, cooldown=30)
    deliver(failover)

    clock.now += 30
    for _ in range(3):
        deliver(failover)

    assert first.asked == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_is_at_fault_does_not_count_against_a_driver(
    deliver: Deliver, clock: Clock, status: int
) -> None:
    first = Fickle(status=status, retryable=False)
    failover = FailoverDriver({"eu": first, "us": RecordingDriver()}, failures=1)

    for _ in range(3):
        deliver(failover)

    assert first.asked == 3


def test_a_group_that_refused_a_message_is_no_more_at_fault_than_its_drivers(
    deliver: Deliver, clock: Clock
) -> None:
    first = Fickle(status=413, retryable=False)
    inner = FailoverDriver({"eu": first}, failures=9)
    failover = FailoverDriver({"inner": inner, "us": RecordingDriver()}, failures=1)

    for _ in range(3):
        deliver(failover)

    assert first.asked == 3


def test_before_a_message_is_lost_the_drivers_passed_over_are_tried(deliver: Deliver, clock: Clock) -> None:
    first, second = Fickle(), Fickle()
    failover = FailoverDriver({"eu": first, "us": second}, failures=1)
    with pytest.raises(DeliveryError):
        deliver(failover)

    second.error = None
    deliver(failover)

    assert PING in second.delivered


def test_a_driver_that_is_not_needed_keeps_its_turn(deliver: Deliver, clock: Clock) -> None:
    first, second = Fickle(), Fickle()
    failover = FailoverDriver({"eu": first, "us": second}, failures=1, cooldown=30)
    with pytest.raises(DeliveryError):
        deliver(failover)
    clock.now += 30
    first.error, gone = None, first.error
    deliver(failover)

    first.error, second.error = gone, None
    deliver(failover)

    assert PING in second.delivered
    assert second.asked == 2


def test_options_from_the_environment_are_text() -> None:
    first = Fickle()
    failover = FailoverDriver(
        {"eu": first, "us": RecordingDriver()},
        failures="1",  # type: ignore[arg-type]
        cooldown="30",  # type: ignore[arg-type]
    )

    failover.deliver(PING)
    failover.deliver(PING)

    assert first.asked == 1
