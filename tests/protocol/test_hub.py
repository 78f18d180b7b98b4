"""Connecting, subscribing, broadcasting, silence and the end; presence and users have their own files."""

from __future__ import annotations

import json

import pytest

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect, HangUp, Push
from broadcaster.protocol.hub import Hub
from broadcaster.protocol.limits import Limits

from .conversation import APP, CREDENTIALS, Client, Conversation, data_of


def connected(limits: Limits | None = None) -> tuple[Conversation, Client]:
    conversation = Conversation(limits)
    (client,) = conversation.silence([conversation.connects("1234.1234")])
    return conversation, client


# Connecting


def test_the_first_frame_tells_the_socket_id_and_a_timeout_above_zero() -> None:
    client = Conversation().connects("1234.1234")

    (text,) = client.texts
    assert text == (
        '{"event":"pusher:connection_established",'
        '"data":"{\\"socket_id\\":\\"1234.1234\\",\\"activity_timeout\\":120}"}'
    )


def test_the_timeout_of_the_limits_is_the_one_that_clients_hear() -> None:
    client = Conversation(Limits(activity_timeout=7)).connects()

    assert data_of(client.take()[0])["activity_timeout"] == 7


@pytest.mark.parametrize(
    "text",
    ['{"event":"pusher:ping","data":{}}', '{"event": "pusher:ping"}', '{"event":"pusher:ping","data":""}'],
)
def test_every_ping_gets_a_pong(text: str) -> None:
    _, client = connected()

    assert client.sends(text) == [{"event": "pusher:pong", "data": "{}"}]


def test_a_pong_gets_no_answer() -> None:
    _, client = connected()

    assert client.says("pusher:pong", {}) == []


# Frames that make no sense


NONSENSE = {
    "nothing": "",
    "no JSON": "hello",
    "not JSON's number": '{"event":NaN}',
    "null": "null",
    "a list": "[]",
    "a string": '"pusher:ping"',
    "a number": "1e999",
    "no event": '{"data":{}}',
    "an event that is no string": '{"event":{"event":"pusher:ping"}}',
    "an unknown event": '{"event":"news","channel":"a","data":"{}"}',
    "the server's own event": '{"event":"pusher_internal:member_added","channel":"presence-a","data":"{}"}',
    "another of them": '{"event":"pusher:error","data":{"code":4009}}',
    "empty data": '{"event":"pusher:subscribe","data":""}',
    "no data": '{"event":"pusher:subscribe"}',
    "data that is a list": '{"event":"pusher:unsubscribe","data":[]}',
    "no channel": '{"event":"pusher:subscribe","data":{}}',
    "a channel that is no string": '{"event":"pusher:subscribe","data":{"channel":{}}}',
    "a sign-in without auth": '{"event":"pusher:signin","data":{"user_data":"{}"}}',
    "a sign-in without user_data": '{"event":"pusher:signin","data":{"auth":"a:b"}}',
    "a client event without a channel": '{"event":"client-a","data":{}}',
    "a huge number": '{"event":"client-a","channel":"private-a","data":1e999}',
    "a lone surrogate": '{"event":"client-a","channel":"private-a","data":"\\ud800"}',
    "a raw lone surrogate": '{"event":"\ud800"}',
    "NUL": "\x00",
    "NUL in the event": '{"event":"pusher:ping\\u0000"}',
    "deep nesting": '{"event":"pusher:ping","data":' + "[" * 20_000 + "]" * 20_000 + "}",
    "deep nesting without an end": "[" * 60_000,
    "deep nesting in string data": json.dumps({"event": "pusher:subscribe", "data": '{"a":' * 5000}),
    "an endless integer": '{"event":"client-a","channel":"private-a","data":' + "1" * 10_000 + "}",
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_gets_an_error_with_a_number_and_the_connection_stays(text: str) -> None:
    _, client = connected()

    (error,) = client.sends(text)

    assert error["event"] == "pusher:error"
    assert error["data"]["code"] == 4200
    assert isinstance(error["data"]["message"], str)
    assert client.says("pusher:ping", {}) == [{"event": "pusher:pong", "data": "{}"}]


def test_nonsense_does_not_reach_the_others() -> None:
    conversation, client = connected()
    (other,) = conversation.subscribed("private-a", 1)
    client.subscribes("private-a")

    for text in NONSENSE.values():
        client.sends(text)

    assert other.take() == []


# Subscribing


@pytest.mark.parametrize(
    "data", [{"channel": "orders", "auth": ""}, {"channel": "orders"}, '{"channel":"orders"}']
)
def test_anybody_may_subscribe_to_a_public_channel(data: object) -> None:
    _, client = connected()

    answers = client.says("pusher:subscribe", data)

    assert answers == [{"event": "pusher_internal:subscription_succeeded", "channel": "orders", "data": "{}"}]


@pytest.mark.parametrize(
    ("channel", "signature"),
    [
        ("private-foobar", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        ("private-encrypted-foobar", "e6a18892d037c5d5e76a2265df4f086ffc38631605530dfd214aa5bff495f533"),
    ],
)
def test_a_private_channel_takes_a_signature(channel: str, signature: str) -> None:
    conversation, client = connected()

    answers = client.subscribes(channel, auth=f"{CREDENTIALS.key}:{signature}")
    conversation.broadcast(channel, '{"nonce":"a","ciphertext":"b"}')

    assert answers == [{"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"}]
    assert client.take() == [{"event": "news", "channel": channel, "data": '{"nonce":"a","ciphertext":"b"}'}]


@pytest.mark.parametrize("channel", ["private-a", "private-encrypted-a", "presence-a", "#server-to-user-ann"])
@pytest.mark.parametrize("auth", ["", "nonsense", f"{CREDENTIALS.key}:{'0' * 64}"])
def test_a_guarded_channel_refuses_a_wrong_signature(channel: str, auth: str) -> None:
    conversation, client = connected()

    (error,) = client.subscribes(channel, auth=auth, channel_data='{"user_id":"ann"}')
    conversation.broadcast(channel)

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", channel)
    assert (data_of(error)["type"], data_of(error)["status"]) == ("AuthError", 401)
    assert client.take() == []
    assert conversation.hub.channels == {}


def test_a_subscription_without_auth_to_a_private_channel_is_refused() -> None:
    _, client = connected()

    (error,) = client.says("pusher:subscribe", {"channel": "private-a"})

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", "private-a")
    assert data_of(error)["status"] == 401


def test_a_refused_client_may_try_again() -> None:
    _, client = connected()
    client.subscribes("private-a", auth="wrong")

    (answer,) = client.subscribes("private-a")

    assert answer["event"] == "pusher_internal:subscription_succeeded"


@pytest.mark.parametrize(
    "channel",
    ["", "a b", "a/b", "a:b", "é", "a\x00", "a\n", "#a", "#server-to-user-", "private-#a", "x" * 201],
)
def test_an_illegal_channel_name_is_refused(channel: str) -> None:
    conversation, client = connected()

    (error,) = client.subscribes(channel)

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", channel)
    assert data_of(error)["type"] == "InvalidName"
    assert conversation.hub.channels == {}


@pytest.mark.parametrize("channel", ["x" * 200, "private-" + "x" * 192, "a-Z0_9=@,.;", "PRIVATE-a", "0"])
def test_a_legal_channel_name_is_taken(channel: str) -> None:
    _, client = connected()

    (answer,) = client.subscribes(channel)

    assert answer["event"] == "pusher_internal:subscription_succeeded"


def test_channel_names_are_case_sensitive() -> None:
    conversation, client = connected()
    client.subscribes("orders")

    conversation.broadcast("Orders")

    assert client.take() == []


@pytest.mark.parametrize("channel", ["orders", "private-orders"])
def test_subscribing_twice_is_acknowledged_twice_and_changes_nothing(channel: str) -> None:
    conversation, client = connected()
    first = client.subscribes(channel)

    second = client.subscribes(channel)
    conversation.broadcast(channel, "1")

    assert first == second
    assert [frame["data"] for frame in client.take()] == ["1"]


def test_a_second_subscription_is_verified_too() -> None:
    conversation, client = connected()
    client.subscribes("private-a")

    (error,) = client.subscribes("private-a", auth="wrong")
    conversation.broadcast("private-a", "1")

    assert error["event"] == "pusher:subscription_error"
    assert [frame["data"] for frame in client.take()] == ["1"]


def test_events_come_after_the_acknowledgement_only() -> None:
    conversation, client = connected()

    conversation.broadcast("orders", "too early")
    client.subscribes("orders")
    conversation.broadcast("orders", "in time")

    assert [frame["data"] for frame in client.take()] == ["in time"]


def test_a_connection_may_be_on_so_many_channels() -> None:
    _, client = connected(Limits(channels_per_connection=2))
    client.subscribes("a")
    client.subscribes("private-b")

    (error,) = client.subscribes("c")

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", "c")
    assert (data_of(error)["type"], data_of(error)["status"]) == ("LimitReached", 4009)


def test_a_full_connection_may_subscribe_again_to_what_it_has() -> None:
    _, client = connected(Limits(channels_per_connection=1))
    client.subscribes("a")

    (answer,) = client.subscribes("a")

    assert answer["event"] == "pusher_internal:subscription_succeeded"


def test_leaving_a_channel_makes_room_for_another() -> None:
    _, client = connected(Limits(channels_per_connection=1))
    client.subscribes("a")
    client.unsubscribes("a")

    (answer,) = client.subscribes("b")

    assert answer["event"] == "pusher_internal:subscription_succeeded"


# Unsubscribing and disconnecting


def test_an_unsubscription_gets_no_answer_and_ends_the_events() -> None:
    conversation, client = connected()
    client.subscribes("orders")

    answers = client.unsubscribes("orders")
    conversation.broadcast("orders")

    assert answers == []
    assert client.take() == []


@pytest.mark.parametrize("channel", ["orders", "", "a b", "presence-a", "\x00"])
def test_leaving_a_channel_that_one_is_not_on_is_harmless(channel: str) -> None:
    conversation, client = connected()
    (other,) = conversation.subscribed("orders", 1)

    assert client.unsubscribes(channel) == []
    conversation.broadcast("orders", "1")
    assert [frame["data"] for frame in other.take()] == ["1"]


def test_one_may_come_back_to_a_channel() -> None:
    conversation, client = connected()
    client.subscribes("orders")
    client.unsubscribes("orders")

    client.subscribes("orders")
    conversation.broadcast("orders", "1")

    assert [frame["data"] for frame in client.take()] == ["1"]


def test_a_disconnected_client_leaves_no_trace() -> None:
    conversation, client = connected()
    client.subscribes("orders")
    client.joins("presence-a", "ann")
    client.signs_in("ann")

    client.disconnects()

    assert conversation.hub.connections == {}
    assert conversation.hub.channels == {}
    assert not conversation.hub._users


def test_disconnecting_twice_is_harmless() -> None:
    conversation, client = connected()
    (other,) = conversation.joined("presence-a", "bob")
    client.joins("presence-a", "ann")
    client.disconnects()
    other.take()

    client.disconnects()

    assert other.take() == []


def test_a_frame_that_comes_after_the_end_is_ignored() -> None:
    conversation, client = connected()
    client.disconnects()

    assert client.subscribes("orders") == []
    assert client.sends("nonsense") == []
    assert conversation.hub.channels == {}


def test_the_end_of_an_old_connection_does_not_end_a_new_one_with_its_socket_id() -> None:
    conversation, old = connected()
    old.disconnects()
    new = conversation.connects(old.socket_id)

    old.disconnects()
    new.subscribes("orders")
    conversation.broadcast("orders", "1")

    assert [frame["data"] for frame in new.take()] == ["1"]


# Broadcasting


def test_an_event_reaches_every_subscriber_with_its_data_as_it_was() -> None:
    conversation = Conversation()
    clients = conversation.subscribed("orders", 3)
    data = '{ "a" : 1.10, "name":"Zo\\u00eb" }'

    conversation.broadcast("orders", data, name="shipped")

    expected = [{"event": "shipped", "channel": "orders", "data": data}]
    assert [client.take() for client in clients] == [expected] * 3


def test_an_event_on_one_channel_does_not_reach_another() -> None:
    conversation = Conversation()
    (there,) = conversation.subscribed("orders.1", 1)

    conversation.broadcast("orders")
    conversation.broadcast("orders.2")

    assert there.take() == []


def test_the_sender_may_be_left_out() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("orders", 2)

    conversation.broadcast("orders", except_socket=sender.socket_id)

    assert (len(sender.take()), len(other.take())) == (0, 1)


@pytest.mark.parametrize("socket_id", ["999.999", "", "nonsense", None])
def test_an_unknown_sender_leaves_nobody_out(socket_id: str | None) -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("orders", 1)

    conversation.broadcast("orders", except_socket=socket_id)

    assert len(client.take()) == 1


def test_a_subscriber_of_two_channels_gets_one_frame_for_each() -> None:
    conversation, client = connected()
    client.subscribes("a")
    client.subscribes("b")

    conversation.perform(conversation.hub.broadcast("news", ["b", "nobody", "a"], "1"))

    assert [frame["channel"] for frame in client.take()] == ["b", "a"]


def test_an_event_for_nobody_is_no_work() -> None:
    conversation, _ = connected()

    assert conversation.hub.broadcast("news", ["orders", "presence-a"], "{}") == []


def test_events_on_a_channel_keep_their_order() -> None:
    conversation = Conversation()
    clients = conversation.subscribed("orders", 2)

    for number in range(20):
        conversation.broadcast("orders", str(number))

    assert [[frame["data"] for frame in client.take()] for client in clients] == [
        [str(n) for n in range(20)]
    ] * 2


def test_a_broadcast_to_thousands_is_one_text_and_copies_no_list_of_them() -> None:
    conversation = Conversation()
    conversation.subscribed("orders", 5000)
    sender = conversation.hub.connections["17.17"]

    (first,) = conversation.hub.broadcast("news", ["orders"], "1", except_socket="17.17")
    (second,) = conversation.hub.broadcast("news", ["orders"], "2")

    assert isinstance(first, Push)
    assert isinstance(second, Push)
    assert first.to is second.to
    assert len(first.to) == 5000
    assert (first.without, second.without) == (sender, None)


# Silence


def test_a_connection_that_speaks_is_left_alone() -> None:
    conversation, client = connected()

    for _ in range(10):
        conversation.passes(119)
        client.says("pusher:ping", {})

    assert (client.probes, client.closed_with) == (0, None)


def test_a_silent_connection_is_asked_once_for_a_sign_of_life() -> None:
    conversation, client = connected()

    conversation.passes(119.9)
    before = client.probes
    conversation.passes(0.1)
    conversation.passes(1)

    assert (before, client.probes, client.closed_with) == (0, 1, None)
    assert client.take() == []


def test_a_connection_that_stays_silent_gets_4201_and_is_hung_up_on() -> None:
    conversation, client = connected()
    conversation.passes(120)

    conversation.passes(29.5)
    early = client.take()
    conversation.passes(0.5)

    (error,) = client.take()
    assert early == []
    assert (error["event"], error["data"]["code"], client.closed_with) == ("pusher:error", 4201, 4201)


def test_a_client_that_never_answers_pusher_ping_stays_for_its_control_frames() -> None:
    conversation, client = connected()

    for _ in range(20):
        conversation.passes(120)
        conversation.passes(29)
        client.sends_control_frame()

    assert (client.probes, client.closed_with) == (20, None)


def test_a_client_hears_no_pusher_ping() -> None:
    conversation, client = connected()

    conversation.passes(120)

    assert client.take() == []


@pytest.mark.parametrize("text", ["nonsense", '{"event":"pusher:pong","data":{}}', '{"event":"pusher:ping"}'])
def test_any_frame_is_a_sign_of_life(text: str) -> None:
    conversation, client = connected()
    conversation.passes(120)

    client.sends(text)
    conversation.passes(100)

    assert client.closed_with is None


def test_what_the_server_pushes_is_no_sign_of_life() -> None:
    conversation, client = connected()
    client.subscribes("orders")

    for _ in range(15):
        conversation.passes(10)
        conversation.broadcast("orders")

    assert client.closed_with == 4201


def test_a_client_has_its_time_to_answer_even_when_the_server_asks_late() -> None:
    conversation, client = connected()
    conversation.passes(1000)

    conversation.passes(29)
    client.sends_control_frame()
    conversation.passes(29)

    assert client.closed_with is None


def test_the_others_hear_that_a_silent_member_is_gone() -> None:
    conversation = Conversation()
    _, bob = conversation.joined("presence-a", "ann", "bob")
    conversation.passes(120)
    bob.sends_control_frame()

    conversation.passes(30)

    assert [(frame["event"], data_of(frame)) for frame in bob.take()] == [
        ("pusher_internal:member_removed", {"user_id": "ann"})
    ]


def test_when_all_fall_silent_together_none_hears_of_another_after_its_own_end() -> None:
    conversation = Conversation()
    clients = conversation.joined("presence-a", "ann", "bob", "cat")

    conversation.passes(120)
    conversation.passes(30)

    assert [client.closed_with for client in clients] == [4201] * 3
    assert [client.take()[-1]["event"] for client in clients] == ["pusher:error"] * 3
    assert conversation.hub.channels == {}


# The end


def test_at_the_end_everybody_is_hung_up_on() -> None:
    conversation = Conversation()
    clients = conversation.joined("presence-a", "ann", "bob")

    conversation.perform(conversation.hub.close(4200, "Server is going away"))

    assert [client.closed_with for client in clients] == [4200, 4200]


def test_after_the_end_the_hub_knows_nobody() -> None:
    conversation = Conversation()
    (client,) = conversation.joined("presence-a", "ann")
    client.signs_in("ann")
    client.take()
    conversation.perform(conversation.hub.close(4200, "Server is going away"))

    client.sends('{"event":"pusher:ping"}')
    client.disconnects()
    conversation.broadcast("presence-a")
    conversation.passes(1000)

    assert client.take() == []
    assert conversation.hub.terminate("ann") == []
    assert (conversation.hub.connections, conversation.hub.channels) == ({}, {})


def test_hubs_share_nothing() -> None:
    one, other = Conversation(), Conversation()
    (client,) = one.subscribed("orders", 1)

    other.broadcast("orders")
    other.perform(other.hub.disconnected(client.connection))
    one.broadcast("orders", "1")

    assert [frame["data"] for frame in client.take()] == ["1"]


def test_an_error_frame_goes_before_the_close() -> None:
    hub = Hub(APP)
    connection = Connection("1.1", Conversation().connects())
    hub.connected(connection, 0.0)

    effects: list[Effect] = hub.received(
        connection, '{"event":"pusher:signin","data":{"auth":"","user_data":"{}"}}', 0.0
    )

    assert [type(effect) for effect in effects] == [Push, HangUp]


def test_one_that_is_sent_away_hears_no_more_and_the_others_that_it_left() -> None:
    conversation = Conversation()
    ann, bob = conversation.joined("presence-a", "ann", "bob")
    conversation.silence([ann, bob])

    for _ in range(2):
        conversation.perform(conversation.hub.dismiss(ann.connection, 4200, "Server is going away"))

    assert (ann.closed_with, ann.take()) == (4200, [])
    assert [frame["event"] for frame in bob.take()] == ["pusher_internal:member_removed"]
    assert bob.closed_with is None
