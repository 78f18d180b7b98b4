"""Laravel's SendingBroadcastsViaAnonymousEventTest: events without a class of their own."""

from __future__ import annotations

import pytest

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    Channel,
    Message,
    PresenceChannel,
    PrivateChannel,
    current_socket,
)
from broadcaster.testing import capture
from tests.recording import RecordingDriver


def message_of(event: AnonymousEvent, *, to_others: bool = False) -> Message:
    broadcast = BroadcastManager()
    with capture(broadcast) as outbox:
        broadcast.send(event, to_others=to_others)
    message: Message = outbox[0].message
    return message


def test_an_event_has_its_channels_its_name_and_its_data_and_the_default_driver() -> None:
    broadcast = BroadcastManager()
    event = AnonymousEvent("test.event", on=["test-channel"], data={"some": "data"})

    with capture(broadcast) as outbox:
        broadcast.send(event)

    [sent] = outbox
    assert (sent.message.name, sent.message.channels) == ("test.event", ("test-channel",))
    assert (sent.message.data, sent.drivers) == ('{"some":"data"}', ("log",))


def test_an_event_is_delivered_when_send_returns() -> None:
    driver = RecordingDriver()
    broadcast = BroadcastManager.from_dict({"driver": "recording"})
    broadcast.extend("recording", lambda: driver)

    broadcast.send(AnonymousEvent("test.event", on="test-channel"))

    assert [message.name for message in driver.delivered] == ["test.event"]


def test_an_event_needs_a_name() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        AnonymousEvent(on="test-channel")  # type: ignore[call-arg]


def test_an_event_without_data_carries_an_empty_object() -> None:
    assert message_of(AnonymousEvent("test.event", on="test-channel")).data == "{}"


def test_channels_of_several_kinds_go_together() -> None:
    on: list[Channel | str] = ["test-channel", PrivateChannel("test"), "presence-test", Channel("other")]

    message = message_of(AnonymousEvent("test.event", on=on))

    assert message.channels == ("test-channel", "private-test", "presence-test", "other")


def test_an_event_may_name_its_driver() -> None:
    broadcast = BroadcastManager()

    with capture(broadcast) as outbox:
        broadcast.send(AnonymousEvent("test.event", on="test-channel", via="pusher"))

    assert outbox[0].drivers == ("pusher",)


def test_others_are_all_but_the_connection_that_the_request_names() -> None:
    event = AnonymousEvent("test.event", on="test-channel")

    with current_socket("12345"):
        message = message_of(event, to_others=True)

    assert message.except_socket == "12345"
    assert message_of(event, to_others=True).except_socket is None


def test_an_event_may_go_to_a_private_channel() -> None:
    assert message_of(AnonymousEvent("test.event", on=PrivateChannel("test"))).channels == ("private-test",)


def test_an_event_may_go_to_a_presence_channel() -> None:
    assert message_of(AnonymousEvent("test.event", on=PresenceChannel("test"))).channels == ("presence-test",)
