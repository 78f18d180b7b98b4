"""Laravel's BroadcastedEventsTest: which events are broadcast, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster import BroadcastManager, Event
from broadcaster.signals import sent
from broadcaster.testing import capture
from tests.recording import RecordingDriver


class Renamed(Event):
    first: str = "Ann"
    second: str = "Lee"

    def broadcast_on(self) -> Any:
        return "lobby"


class Conditional(Renamed):
    def broadcast_when(self) -> bool:
        return self.first != "nobody"


def messages_of(event: Event) -> list[tuple[str, tuple[str, ...], str]]:
    broadcast = BroadcastManager()
    with capture(broadcast) as outbox:
        broadcast.send(event)
    return [(sent.message.name, sent.message.channels, sent.message.data) for sent in outbox]


@pytest.mark.parametrize("event", [Renamed(), Conditional()])
def test_an_event_is_broadcast_unless_its_condition_says_no(event: Event) -> None:
    assert messages_of(event) == [(type(event).__name__, ("lobby",), '{"first":"Ann","second":"Lee"}')]


def test_an_event_is_delivered_and_the_listeners_get_that_very_event() -> None:
    driver, event, heard = RecordingDriver(), Renamed(), list[object]()
    broadcast = BroadcastManager.from_dict({"driver": "recording"})
    broadcast.extend("recording", lambda: driver)

    def listen(sender: object, *, event: object, **_: object) -> None:
        heard.append(event)

    with sent.connected_to(listen, sender=broadcast):
        broadcast.send(event)

    assert [message.name for message in driver.delivered] == ["Renamed"]
    assert len(heard) == 1
    assert heard[0] is event


def test_an_event_whose_condition_says_no_goes_nowhere() -> None:
    assert messages_of(Conditional(first="nobody")) == []


def test_what_says_no_channel_is_no_event() -> None:
    with pytest.raises(TypeError, match=r"object is not broadcastable; give it a broadcast_on\(\) method"):
        BroadcastManager().send(object())  # type: ignore[arg-type]


def test_an_event_for_several_channels_is_one_message() -> None:
    class ForTwo(Renamed):
        def broadcast_on(self) -> list[str]:
            return ["lobby", "news"]

    assert messages_of(ForTwo()) == [("ForTwo", ("lobby", "news"), '{"first":"Ann","second":"Lee"}')]


def test_an_event_with_a_name_of_its_own_is_one_message() -> None:
    class Named(Renamed):
        def broadcast_as(self) -> str:
            return "renamed"

    assert messages_of(Named()) == [("renamed", ("lobby",), '{"first":"Ann","second":"Lee"}')]


def test_an_event_with_data_of_its_own_is_one_message() -> None:
    class Chosen(Renamed):
        def broadcast_with(self) -> dict[str, str]:
            return {"name": self.first}

    assert messages_of(Chosen()) == [("Chosen", ("lobby",), '{"name":"Ann"}')]


def test_fields_are_given_by_name_in_any_order() -> None:
    assert messages_of(Renamed(second="1", first="2")) == [
        ("Renamed", ("lobby",), '{"first":"2","second":"1"}')
    ]
