"""Users who sign in: the answer, their own channel, and being thrown out."""

from __future__ import annotations

import pytest

from broadcaster.protocol.limits import Limits

from .conversation import CREDENTIALS, Client, Conversation, data_of


def signed_in(conversation: Conversation, *user_ids: str) -> list[Client]:
    """Connect a client for each user, signed in and subscribed to the user's own channel."""
    clients = [conversation.connects() for _ in user_ids]
    for client, user_id in zip(clients, user_ids, strict=True):
        client.signs_in(user_id)
        client.subscribes(f"#server-to-user-{user_id}", auth="")
    return conversation.silence(clients)


# Signing in


def test_a_sign_in_is_answered_with_the_user_data_as_a_string() -> None:
    client = Conversation().connects("1234.1234")
    signature = "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"

    client.says("pusher:signin", {"auth": f"{CREDENTIALS.key}:{signature}", "user_data": '{"id":"12345"}'})

    assert client.texts[-1] == (
        '{"event":"pusher:signin_success","data":"{\\"user_data\\":\\"{\\\\\\"id\\\\\\":\\\\\\"12345\\\\\\"}\\"}"}'
    )


@pytest.mark.parametrize("auth", ["", "nonsense", f"{CREDENTIALS.key}:{'0' * 64}"])
def test_a_wrong_signature_ends_the_connection_with_4009(auth: str) -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    (error,) = client.signs_in("ann", auth=auth)

    assert (error["event"], error["data"]["code"], client.closed_with) == ("pusher:error", 4009, 4009)
    assert conversation.hub.connections == {}


def test_the_others_hear_that_a_member_with_a_wrong_signature_is_gone() -> None:
    conversation = Conversation()
    bob, eve = conversation.joined("presence-a", "bob", "eve")
    conversation.silence([bob])

    eve.signs_in("admin", auth="wrong")

    (frame,) = bob.take()
    assert (frame["event"], data_of(frame)) == ("pusher_internal:member_removed", {"user_id": "eve"})


@pytest.mark.parametrize("user_data", ["", "[]", "{}", '{"id":""}', '{"id":5}', '{"id":null}'])
def test_signed_data_without_an_id_is_an_error_and_no_sign_in(user_data: str) -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    auth = CREDENTIALS.user_auth(client.socket_id, user_data)
    (error,) = client.says("pusher:signin", {"auth": auth, "user_data": user_data})

    assert (error["event"], error["data"]["code"], client.closed_with) == ("pusher:error", 4009, None)
    assert not conversation.hub._users


def test_signing_in_again_is_answered_again() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])
    client.signs_in("ann")

    (answer,) = client.signs_in("ann", user_info={"name": "Ann"})
    client.disconnects()

    assert answer["event"] == "pusher:signin_success"
    assert not conversation.hub._users


def test_a_connection_stays_the_user_it_signed_in_as() -> None:
    conversation = Conversation()
    (client,) = signed_in(conversation, "ann")

    (error,) = client.signs_in("bob")
    (refused,) = client.subscribes("#server-to-user-bob", auth="")

    assert (error["event"], error["data"]["code"], client.closed_with) == ("pusher:error", 4009, None)
    assert refused["event"] == "pusher:subscription_error"
    conversation.perform(conversation.hub.terminate("bob"))
    assert client.closed_with is None


# The channel of a user


def test_a_user_gets_what_is_sent_to_it_on_every_connection() -> None:
    conversation = Conversation()
    tab, other_tab, bob = signed_in(conversation, "12345", "12345", "bob")

    conversation.broadcast("#server-to-user-12345", '{"a":1}', name="evt")

    assert tab.texts[-1] == '{"event":"evt","channel":"#server-to-user-12345","data":"{\\"a\\":1}"}'
    assert (len(tab.take()), len(other_tab.take()), len(bob.take())) == (1, 1, 0)


def test_before_the_sign_in_the_channel_of_a_user_is_closed() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    (error,) = client.subscribes("#server-to-user-ann", auth="")

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", "#server-to-user-ann")
    assert data_of(error)["status"] == 401


@pytest.mark.parametrize("user_id", ["é", "a b", "a/b", "a#b", "x" * 184])
def test_a_user_id_may_hold_what_a_channel_name_may_not(user_id: str) -> None:
    conversation = Conversation()
    (client,) = signed_in(conversation, user_id)

    conversation.broadcast(f"#server-to-user-{user_id}")

    assert len(client.take()) == 1


# Presence of users who are signed in


def test_a_signed_in_user_joins_without_channel_data() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])
    client.signs_in("ann", user_info={"name": "Ann"})

    (answer,) = client.subscribes("presence-a")

    assert data_of(answer)["presence"]["hash"] == {"ann": {"name": "Ann"}}


def test_signing_in_anew_does_not_change_who_is_present() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-a", "bob")
    (client,) = conversation.silence([conversation.connects()])
    client.signs_in("ann")
    client.joins("presence-a", "ann-here")

    client.signs_in("ann", user_info={"name": "Ann"})
    client.disconnects()

    assert [data_of(frame)["user_id"] for frame in bob.take()] == ["ann-here", "ann-here"]


# Being thrown out


def test_every_connection_of_a_user_is_thrown_out_with_4009() -> None:
    conversation = Conversation()
    tab, other_tab, bob = signed_in(conversation, "ann", "ann", "bob")

    conversation.perform(conversation.hub.terminate("ann"))

    assert (tab.closed_with, other_tab.closed_with, bob.closed_with) == (4009, 4009, None)
    for client in (tab, other_tab):
        (error,) = client.take()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", 4009)


def test_who_is_present_without_a_sign_in_is_not_thrown_out() -> None:
    conversation = Conversation()
    (client,) = conversation.joined("presence-a", "ann")

    conversation.perform(conversation.hub.terminate("ann"))

    assert client.closed_with is None


def test_throwing_out_a_user_who_is_not_there_is_harmless() -> None:
    conversation = Conversation()
    signed_in(conversation, "ann")

    assert conversation.hub.terminate("bob") == []


def test_a_user_cannot_be_thrown_out_twice() -> None:
    conversation = Conversation()
    signed_in(conversation, "ann")
    conversation.perform(conversation.hub.terminate("ann"))

    assert conversation.hub.terminate("ann") == []
    assert not conversation.hub._users


def test_a_user_who_was_thrown_out_may_connect_anew() -> None:
    conversation = Conversation()
    signed_in(conversation, "ann")
    conversation.perform(conversation.hub.terminate("ann"))

    (again,) = signed_in(conversation, "ann")
    conversation.broadcast("#server-to-user-ann")

    assert len(again.take()) == 1


def test_the_others_hear_once_that_a_user_with_two_tabs_was_thrown_out() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-a", "bob")
    for tab in signed_in(conversation, "ann", "ann"):
        tab.joins("presence-a", "ann")
    conversation.silence([bob])

    conversation.perform(conversation.hub.terminate("ann"))

    assert [(frame["event"], data_of(frame)) for frame in bob.take()] == [
        ("pusher_internal:member_removed", {"user_id": "ann"})
    ]


def test_a_connection_that_was_thrown_out_is_heard_no_more() -> None:
    conversation = Conversation(Limits(activity_timeout=10, pong_timeout=5))
    (ann,) = signed_in(conversation, "ann")
    (bob,) = conversation.subscribed("private-a", 1)
    ann.subscribes("private-a")
    conversation.perform(conversation.hub.terminate("ann"))
    conversation.silence([ann])

    answers = [*ann.whispers("private-a"), *ann.says("pusher:ping", {}), *ann.subscribes("orders")]
    conversation.passes(10)
    conversation.passes(5)

    assert answers == []
    assert bob.take()[-1]["event"] == "pusher:error"
    assert ann.closed_with == 4009
