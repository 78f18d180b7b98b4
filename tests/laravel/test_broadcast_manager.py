"""Laravel's BroadcastManagerTest: drivers by name, events that are sent at once, and those that wait."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import ClassVar

import pytest

from broadcaster import (
    BroadcastManager,
    ConfigurationError,
    Event,
    Settings,
    ShouldBeUnique,
    ShouldBroadcastNow,
    ShouldQueue,
    ShouldRescue,
)
from broadcaster.config import DriverConfig
from broadcaster.drivers.base import Driver
from broadcaster.drivers.null import NullDriver
from broadcaster.queues.sqlite import SqliteQueue
from tests.recording import RecordingDriver


class Name(Enum):
    OWN = "own"


class Ping(Event, ShouldBroadcastNow):
    def broadcast_on(self) -> str:
        return "lobby"


class Rescued(Ping, ShouldRescue):
    pass


class Waiting(Event, ShouldQueue):
    number: int = 1

    def broadcast_on(self) -> str:
        return "lobby"


class Mailed(Waiting):
    queue: ClassVar = "mail"


class WaitingRescued(Waiting, ShouldRescue):
    pass


class Unique(Waiting, ShouldBeUnique):
    pass


class UniqueByNumber(Unique):
    def unique_id(self) -> str:
        return str(self.number)


def waiting_after(folder: Path, *events: Event) -> dict[str, int]:
    """Return how many events are ready in each queue after *events* were sent; no driver has got any."""
    driver = RecordingDriver()
    queue = {"engine": "sqlite", "file": str(folder / "queue.sqlite3")}
    with BroadcastManager.from_dict({"driver": "own", "queue": queue}) as broadcast:
        broadcast.extend("own", lambda: driver)
        for event in events:
            broadcast.send(event)
        assert isinstance(broadcast.queue, SqliteQueue)
        assert driver.delivered == []
        return {name: size.ready for name, size in broadcast.queue.sizes().items()}


def broadcast_through(driver: Driver) -> BroadcastManager:
    broadcast = BroadcastManager.from_dict({"driver": "own"})
    broadcast.extend("own", lambda: driver)
    return broadcast


def test_an_event_that_never_waits_is_delivered_when_send_returns() -> None:
    driver = RecordingDriver()

    broadcast_through(driver).send(Ping())

    assert [message.name for message in driver.delivered] == ["Ping"]


def test_an_event_that_may_fail_is_delivered_and_its_failure_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = RecordingDriver()

    broadcast_through(driver).send(Rescued())
    with caplog.at_level(logging.ERROR, "broadcaster"):
        broadcast_through(RecordingDriver(refuses="it is closed")).send(Rescued())

    assert [message.name for message in driver.delivered] == ["Rescued"]
    assert caplog.messages == [
        "'Rescued' was not broadcast by driver 'own': driver 'recording': it is closed"
    ]


def test_an_unknown_driver_is_told_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match="no driver named 'alien_connection'; known: "):
        BroadcastManager().driver("alien_connection")


def test_a_drivers_function_may_use_the_manager() -> None:
    broadcast = BroadcastManager()

    broadcast.extend("own", lambda: broadcast.driver("null"))

    assert broadcast.driver("own") is broadcast.driver("null")


def test_a_drivers_function_may_know_nothing_of_the_manager() -> None:
    class Shelf:
        driver = NullDriver()

        @staticmethod
        def made() -> Driver:
            return Shelf.driver

    broadcast = BroadcastManager()
    broadcast.extend("own", Shelf.made)

    assert broadcast.driver("own") is Shelf.driver


def test_what_makes_a_driver_may_be_an_object() -> None:
    class Maker:
        def __init__(self) -> None:
            self.made = NullDriver()

        def __call__(self) -> Driver:
            return self.made

    maker, broadcast = Maker(), BroadcastManager()
    broadcast.extend("own", maker)

    assert broadcast.driver("own") is maker.made


def test_what_keeps_a_driver_from_being_made_reaches_the_caller() -> None:
    cause = ConnectionError("the service is away")

    def broken() -> Driver:
        raise cause

    broadcast = BroadcastManager(Settings("eu", {"eu": DriverConfig("broken")}))
    broadcast.extend("broken", broken)

    with pytest.raises(ConnectionError) as caught:
        broadcast.driver()
    assert caught.value is cause
    assert caught.value.__notes__ == ["while making the driver 'eu'"]


def test_a_driver_may_be_named_by_an_enum() -> None:
    driver = NullDriver()
    broadcast = broadcast_through(driver)

    assert broadcast.driver(Name.OWN) is broadcast.driver("own") is driver


def test_the_driver_of_one_event_may_be_named_by_an_enum() -> None:
    driver, broadcast = RecordingDriver(), BroadcastManager()
    broadcast.extend("own", lambda: driver)

    broadcast.send(Ping(), via=Name.OWN)

    assert len(driver.delivered) == 1


def test_the_default_driver_may_be_named_by_an_enum() -> None:
    assert BroadcastManager.from_dict({"driver": Name.OWN}).default == "own"


def test_a_driver_that_is_replaced_is_made_anew() -> None:
    broadcast = BroadcastManager()
    broadcast.extend("own", NullDriver)
    first = broadcast.driver(Name.OWN)

    broadcast.extend("own", NullDriver)

    assert broadcast.driver(Name.OWN) is not first


def test_an_event_that_may_wait_goes_into_the_queue_that_it_names(tmp_path: Path) -> None:
    assert waiting_after(tmp_path, Waiting(), Mailed(), Mailed()) == {"default": 1, "mail": 2}


def test_an_event_that_may_wait_and_fail_goes_into_a_queue(tmp_path: Path) -> None:
    assert waiting_after(tmp_path, WaitingRescued()) == {"default": 1}


def test_of_a_unique_event_one_waits_for_each_class_or_id(tmp_path: Path) -> None:
    numbered = [UniqueByNumber(number=number) for number in (1, 1, 2)]

    assert waiting_after(tmp_path, Unique(number=1), Unique(number=2), *numbered) == {"default": 3}
