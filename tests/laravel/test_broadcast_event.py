"""Laravel's BroadcastEventTest: from an event to what drivers are given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from broadcaster import BroadcastManager, DeliveryError, Event, PresenceChannel, PrivateChannel
from broadcaster.signals import failed
from broadcaster.testing import Outbox, capture
from tests.recording import RecordingDriver


class Greeting(Event):
    first: str = "Ann"

    def broadcast_on(self) -> str:
        return "lobby"


@pytest.fixture
def broadcast() -> BroadcastManager:
    return BroadcastManager()


@pytest.fixture
def outbox(broadcast: BroadcastManager) -> Iterator[Outbox]:
    with capture(broadcast) as outbox:
        yield outbox


def test_the_data_is_the_public_fields(broadcast: BroadcastManager, outbox: Outbox) -> None:
    @dataclass
    class Joined:
        name: str
        colours: set[str] = field(default_factory=lambda: {"red"})
        _token: str = "hidden"

        def broadcast_on(self) -> list[Any]:
            return ["lobby", PrivateChannel("a"), PresenceChannel("b")]

    broadcast.send(Joined("Ann"))

    [sent] = outbox
    assert (sent.message.name, sent.drivers) == ("Joined", ("log",))
    assert sent.message.channels == ("lobby", "private-a", "presence-b")
    assert json.loads(sent.message.data) == {"name": "Ann", "colours": ["red"]}


def test_the_data_may_be_chosen_and_nobody_is_left_out(broadcast: BroadcastManager, outbox: Outbox) -> None:
    class Chosen(Greeting):
        def broadcast_with(self) -> dict[str, str]:
            return {"name": self.first}

    broadcast.send(Chosen())

    assert (outbox[0].message.data, outbox[0].message.except_socket) == ('{"name":"Ann"}', None)


def test_an_event_may_choose_its_driver(broadcast: BroadcastManager, outbox: Outbox) -> None:
    class Loud(Greeting):
        def broadcast_via(self) -> str:
            return "pusher"

    broadcast.send(Loud())

    assert outbox[0].drivers == ("pusher",)


def test_two_drivers_get_channels_and_data_of_their_own_as_two_events(
    broadcast: BroadcastManager, outbox: Outbox
) -> None:
    class Internal(Greeting):
        token: str = "secret"

        def broadcast_on(self) -> str:
            return "private-staff"

    broadcast.send(Greeting(), via="pusher")
    broadcast.send(Internal(), via="redis")

    assert [(sent.drivers, sent.message.channels, json.loads(sent.message.data)) for sent in outbox] == [
        (("pusher",), ("lobby",), {"first": "Ann"}),
        (("redis",), ("private-staff",), {"first": "Ann", "token": "secret"}),
    ]


def test_an_event_may_choose_its_name(broadcast: BroadcastManager, outbox: Outbox) -> None:
    class Renamed(Greeting):
        def broadcast_as(self) -> str:
            return "hello"

    broadcast.send(Renamed())

    assert outbox[0].message.name == "hello"


def test_a_name_may_be_an_enum(broadcast: BroadcastManager, outbox: Outbox) -> None:
    class Names(Enum):
        HELLO = "hello"

    class Renamed(Greeting):
        def broadcast_as(self) -> Names:
            return Names.HELLO

    broadcast.send(Renamed())

    assert outbox[0].message.name == "hello"


def test_a_failure_is_told_with_its_event_and_its_error() -> None:
    event, told = Greeting(), list[tuple[object, str]]()
    broadcast = BroadcastManager.from_dict({"driver": "closed"})
    broadcast.extend("closed", lambda: RecordingDriver(refuses="it is closed"))

    def note(sender: object, *, event: object, error: DeliveryError, **_: object) -> None:
        told.append((event, str(error)))

    with failed.connected_to(note, sender=broadcast), pytest.raises(DeliveryError):
        broadcast.send(event)

    assert told == [(event, "driver 'recording': it is closed")]
    assert told[0][0] is event
