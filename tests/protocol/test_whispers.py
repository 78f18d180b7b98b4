"""Client events: who may send them, who gets them, and in whose name."""

from __future__ import annotations

import json

import pytest

from broadcaster.protocol.limits import Limits

from .conversation import Conversation, Frame


def refusals(frames: list[Frame]) -> list[tuple[int, str]]:
    assert all(frame["event"] == "pusher:error" for frame in frames)
    return [(frame["data"]["code"], frame.get("channel", "")) for frame in frames]


def test_a_client_event_reaches_the_others_with_string_data() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat.1", 2)

    answers = sender.whispers("private-chat.1", data={"name": "Ann"})

    assert answers == []
    assert other.texts[-1] == (
        '{"event":"client-typing","channel":"private-chat.1","data":"{\\"name\\":\\"Ann\\"}"}'
    )


def test_a_sender_does_not_get_its_own_event_but_its_other_tab_does() -> None:
    conversation = Conversation()
    sender, tab, other = conversation.joined("presence-chat", "ann", "ann", "bob")
    conversation.silence([sender, tab])

    sender.whispers("presence-chat")

    assert (len(sender.take()), len(tab.take()), len(other.take())) == (0, 1, 1)


def test_on_a_presence_channel_the_event_names_its_sender() -> None:
    conversation = Conversation()
    sender, other = conversation.joined("presence-chat.1", "10", "11")

    sender.whispers("presence-chat.1", data={"name": "Ann"})

    assert other.texts[-1] == (
        '{"event":"client-typing","channel":"presence-chat.1","data":"{\\"name\\":\\"Ann\\"}","user_id":"10"}'
    )


def test_the_name_of_the_sender_comes_from_its_membership_and_never_from_the_frame() -> None:
    conversation = Conversation()
    sender, other = conversation.joined("presence-chat", "eve", "bob")

    sender.says("client-typing", {"user_id": "admin"}, channel="presence-chat", user_id="admin")

    (frame,) = other.take()
    assert frame["user_id"] == "eve"


def test_a_frame_cannot_name_a_sender_on_a_private_channel() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    sender.says("client-typing", {}, channel="private-chat", user_id="admin", socket_id="1.1")

    (frame,) = other.take()
    assert frame == {"event": "client-typing", "channel": "private-chat", "data": "{}"}


def test_the_name_is_that_of_the_channel_even_after_a_sign_in() -> None:
    conversation = Conversation()
    sender, other = conversation.joined("presence-chat", "ann-here", "bob")
    sender.signs_in("ann-everywhere")

    sender.whispers("presence-chat")

    assert other.take()[0]["user_id"] == "ann-here"


@pytest.mark.parametrize("data", ["hello", "", '{"name": "Ann"}', '"quoted"', "1.10"])
def test_string_data_is_handed_on_as_it_is(data: str) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    sender.says("client-typing", data, channel="private-chat")

    assert other.take()[0]["data"] == data


@pytest.mark.parametrize(
    "data", ["{}", "[]", '{"a":{},"b":[]}', "null", "0", "false", "12345678901234567890"]
)
def test_json_data_keeps_its_shape(data: str) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    sender.sends(f'{{"event":"client-typing","channel":"private-chat","data": {data} }}')

    assert other.take()[0]["data"] == data


@pytest.mark.parametrize("channel", ["private-cache-chat", "private-chat"])
def test_private_channels_carry_client_events(channel: str) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed(channel, 2)

    sender.whispers(channel)

    assert len(other.take()) == 1


@pytest.mark.parametrize("channel", ["chat", "cache-chat", "private-encrypted-chat"])
def test_other_channels_carry_none(channel: str) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed(channel, 2)

    answers = sender.whispers(channel)

    assert refusals(answers) == [(4301, channel)]
    assert other.take() == []


def test_the_channel_of_a_user_carries_none() -> None:
    conversation = Conversation()
    tab, other_tab = (conversation.connects() for _ in range(2))
    for client in (tab, other_tab):
        client.signs_in("ann")
        client.subscribes("#server-to-user-ann")

    answers = tab.whispers("#server-to-user-ann")

    assert refusals(answers) == [(4301, "#server-to-user-ann")]
    assert other_tab.take() == []


def test_only_a_subscriber_may_send() -> None:
    conversation = Conversation()
    (other,) = conversation.subscribed("private-chat", 1)
    (stranger,) = conversation.silence([conversation.connects()])

    answers = stranger.whispers("private-chat")

    assert refusals(answers) == [(4301, "private-chat")]
    assert other.take() == []


def test_who_left_may_not_send() -> None:
    conversation = Conversation()
    sender, other = conversation.joined("presence-chat", "ann", "bob")
    sender.unsubscribes("presence-chat")
    conversation.silence([other])

    answers = sender.whispers("presence-chat")

    assert refusals(answers) == [(4301, "presence-chat")]
    assert other.take() == []


@pytest.mark.parametrize("channel", ["", "\x00", "private-é", "x" * 5000, "private-nobody"])
def test_any_channel_name_may_be_refused(channel: str) -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    assert refusals(client.whispers(channel)) == [(4301, channel)]


def test_an_application_may_do_without_client_events() -> None:
    conversation = Conversation(client_events=False)
    sender, other = conversation.subscribed("private-chat", 2)

    answers = sender.whispers("private-chat")

    assert refusals(answers) == [(4301, "private-chat")]
    assert other.take() == []


def test_a_client_event_with_nobody_to_hear_it_is_harmless() -> None:
    conversation = Conversation()
    (sender,) = conversation.subscribed("private-chat", 1)

    assert sender.whispers("private-chat") == []


@pytest.mark.parametrize(("length", "accepted"), [(200, True), (201, False)])
def test_the_name_of_an_event_has_a_limit(length: int, accepted: bool) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    sender.whispers("private-chat", "client-".ljust(length, "x"))

    assert len(other.take()) == accepted


@pytest.mark.parametrize(
    ("data", "accepted"),
    [("x" * 10_240, True), ("x" * 10_241, False), ("é" * 5_120, True), ("é" * 5_120 + "x", False)],
)
def test_string_data_has_a_limit_in_bytes(data: str, accepted: bool) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    answers = sender.says("client-typing", data, channel="private-chat")

    assert len(other.take()) == accepted
    assert refusals(answers) == ([] if accepted else [(4301, "private-chat")])


@pytest.mark.parametrize(("length", "accepted"), [(10_238, True), (10_239, False)])
def test_json_data_is_measured_as_it_will_be_sent(length: int, accepted: bool) -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    sender.says("client-typing", ["x" * (length - 2)], channel="private-chat")

    assert len(other.take()) == accepted


def test_ten_client_events_a_second_are_enough() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    answers = [answer for _ in range(12) for answer in sender.whispers("private-chat")]

    assert len(other.take()) == 10
    assert refusals(answers) == [(4301, "private-chat")] * 2


def test_the_next_second_has_room_again() -> None:
    conversation = Conversation(Limits(client_events_per_second=1))
    sender, other = conversation.subscribed("private-chat", 2)
    sender.whispers("private-chat")
    sender.whispers("private-chat")

    conversation.now += 1
    sender.whispers("private-chat")

    assert len(other.take()) == 2


def test_one_client_does_not_use_up_the_room_of_another() -> None:
    conversation = Conversation(Limits(client_events_per_second=1))
    sender, other = conversation.subscribed("private-chat", 2)
    sender.whispers("private-chat")
    other.take()

    assert other.whispers("private-chat") == []
    assert len(sender.take()) == 1


def test_a_refused_event_takes_no_room() -> None:
    conversation = Conversation(Limits(client_events_per_second=1))
    sender, other = conversation.subscribed("private-chat", 2)
    sender.whispers("private-elsewhere")
    sender.whispers("private-chat", "client-".ljust(201, "x"))

    sender.whispers("private-chat")

    assert len(other.take()) == 1


def test_the_events_of_a_sender_keep_their_order_among_those_of_the_application() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    for number in range(4):
        sender.says("client-count", str(number), channel="private-chat")
        conversation.broadcast("private-chat", f"{number}, said the application")

    heard = [frame["data"] for frame in other.take()]
    assert heard == [text for number in range(4) for text in (f"{number}", f"{number}, said the application")]


def test_a_huge_number_is_refused_and_reaches_nobody() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    (error,) = sender.sends('{"event":"client-a","channel":"private-chat","data":{"n":1e999}}')

    assert error["event"] == "pusher:error"
    assert other.take() == []


def test_nul_and_line_separators_travel_as_they_are() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("private-chat", 2)

    sender.says("client-\x00", {"\x00": "\u2028"}, channel="private-chat")

    (frame,) = other.take()
    assert frame["event"] == "client-\x00"
    assert json.loads(frame["data"]) == {"\x00": "\u2028"}
