"""Who is present: joins, leaves, and the list that each member holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broadcaster.protocol.limits import Limits

from .conversation import CREDENTIALS, Client, Conversation, Frame, data_of


def changes(client: Client) -> list[tuple[str, Any]]:
    """Return what *client* heard of members that came and went."""
    return [
        (frame["event"].removeprefix("pusher_internal:member_"), data_of(frame)) for frame in client.take()
    ]


def presence(frame: Frame) -> Any:
    assert frame["event"] == "pusher_internal:subscription_succeeded"
    return data_of(frame)["presence"]


def test_a_member_hears_who_is_there_itself_included() -> None:
    conversation = Conversation()
    ann, bob = conversation.connects(), conversation.connects()
    ann.joins("presence-foobar", "10", {"name": "Ann"})
    bob.take()

    bob.joins("presence-foobar", "11", {"name": "Bob"})

    assert bob.texts[-1] == (
        '{"event":"pusher_internal:subscription_succeeded","channel":"presence-foobar","data":'
        '"{\\"presence\\":{\\"count\\":2,\\"ids\\":[\\"10\\",\\"11\\"],'
        '\\"hash\\":{\\"10\\":{\\"name\\":\\"Ann\\"},\\"11\\":{\\"name\\":\\"Bob\\"}}}}"}'
    )


def test_the_first_member_finds_only_itself() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.joins("presence-a", "ann", {"name": "Ann"})

    assert presence(answer) == {"count": 1, "ids": ["ann"], "hash": {"ann": {"name": "Ann"}}}


def test_the_hash_is_an_object_of_objects_even_when_there_is_no_info() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.joins("presence-a", "ann")

    assert answer["data"] == '{"presence":{"count":1,"ids":["ann"],"hash":{"ann":{}}}}'


def test_empty_info_does_not_become_a_list() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.subscribes(
        "presence-a", channel_data='{"user_id":"ann","user_info":{"tags":{},"all":[]}}'
    )

    assert answer["data"] == '{"presence":{"count":1,"ids":["ann"],"hash":{"ann":{"tags":{},"all":[]}}}}'


def test_an_integer_id_is_a_string_from_then_on() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-a", "bob")
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.subscribes("presence-a", channel_data='{"user_id":10}')
    ann.unsubscribes("presence-a")

    assert presence(answer)["ids"] == ["bob", "10"]
    assert changes(bob) == [("added", {"user_id": "10", "user_info": {}}), ("removed", {"user_id": "10"})]


def test_an_integer_and_its_digits_are_one_user() -> None:
    conversation = Conversation()
    (first,) = conversation.joined("presence-a", "10")
    (second,) = conversation.silence([conversation.connects()])

    (answer,) = second.subscribes("presence-a", channel_data='{"user_id": 10}')

    assert presence(answer)["count"] == 1
    assert changes(first) == []


def test_the_others_hear_of_a_new_member_and_the_new_member_does_not() -> None:
    conversation = Conversation()
    ann, bob = conversation.joined("presence-a", "ann", "bob")
    (cat,) = conversation.silence([conversation.connects()])

    answers = cat.joins("presence-a", "cat", {"name": "Cat"})

    assert [frame["event"] for frame in answers] == ["pusher_internal:subscription_succeeded"]
    assert changes(ann) == changes(bob) == [("added", {"user_id": "cat", "user_info": {"name": "Cat"}})]
    assert changes(cat) == []


def test_a_second_tab_of_a_user_is_no_news() -> None:
    conversation = Conversation()
    bob, ann = conversation.joined("presence-a", "bob", "ann")
    conversation.silence([bob])
    (tab,) = conversation.silence([conversation.connects()])

    (answer,) = tab.joins("presence-a", "ann")

    assert presence(answer) == {"count": 2, "ids": ["bob", "ann"], "hash": {"bob": {}, "ann": {}}}
    assert changes(bob) == changes(ann) == []


def test_a_user_with_two_tabs_leaves_with_the_last_one() -> None:
    conversation = Conversation()
    bob, tab, other_tab = conversation.joined("presence-a", "bob", "ann", "ann")
    conversation.silence([bob])

    tab.disconnects()
    after_one = changes(bob)
    other_tab.disconnects()

    assert after_one == []
    assert changes(bob) == [("removed", {"user_id": "ann"})]


def test_a_tab_that_stays_does_not_hear_that_its_own_user_left() -> None:
    conversation = Conversation()
    tab, other_tab = conversation.joined("presence-a", "ann", "ann")

    other_tab.unsubscribes("presence-a")

    assert changes(tab) == []


@pytest.mark.parametrize("leave", [Client.disconnects, lambda client: client.unsubscribes("presence-a")])
def test_the_others_hear_that_a_member_left(leave: Any) -> None:
    conversation = Conversation()
    ann, bob, cat = conversation.joined("presence-a", "ann", "bob", "cat")
    conversation.silence([ann, bob])

    leave(cat)

    assert changes(ann) == changes(bob) == [("removed", {"user_id": "cat"})]


def test_leaving_and_then_closing_is_told_once() -> None:
    conversation = Conversation()
    bob, ann = conversation.joined("presence-a", "bob", "ann")
    conversation.silence([bob])

    ann.unsubscribes("presence-a")
    ann.unsubscribes("presence-a")
    ann.disconnects()

    assert changes(bob) == [("removed", {"user_id": "ann"})]


def test_subscribing_again_is_no_second_join() -> None:
    conversation = Conversation()
    bob, ann = conversation.joined("presence-a", "bob", "ann")
    conversation.silence([bob])

    (answer,) = ann.joins("presence-a", "ann")
    ann.disconnects()

    assert presence(answer)["count"] == 2
    assert changes(bob) == [("removed", {"user_id": "ann"})]


def test_subscribing_again_as_another_user_changes_nothing() -> None:
    conversation = Conversation()
    bob, ann = conversation.joined("presence-a", "bob", "ann")
    conversation.silence([bob])

    (answer,) = ann.joins("presence-a", "eve")
    ann.disconnects()

    assert presence(answer)["ids"] == ["bob", "ann"]
    assert changes(bob) == [("removed", {"user_id": "ann"})]


def test_a_user_who_comes_back_is_added_again() -> None:
    conversation = Conversation()
    bob, ann = conversation.joined("presence-a", "bob", "ann")
    conversation.silence([bob])

    ann.unsubscribes("presence-a")
    ann.joins("presence-a", "ann", {"name": "Anna"})

    assert changes(bob) == [
        ("removed", {"user_id": "ann"}),
        ("added", {"user_id": "ann", "user_info": {"name": "Anna"}}),
    ]


def test_the_info_of_a_users_first_tab_stays_until_its_last_is_gone() -> None:
    conversation = Conversation()
    first, second, third = conversation.silence(conversation.connects() for _ in range(3))
    first.joins("presence-a", "ann", {"name": "Ann"})

    (answer,) = second.joins("presence-a", "ann", {"name": "Other"})
    first.disconnects()
    (later,) = third.joins("presence-a", "ann", {"name": "Third"})

    assert presence(answer)["hash"] == presence(later)["hash"] == {"ann": {"name": "Ann"}}


def test_channels_do_not_share_their_members() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-b", "bob")
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.joins("presence-a", "ann")

    assert presence(answer)["ids"] == ["ann"]
    assert changes(bob) == []


def test_closing_a_connection_leaves_every_channel() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-a", "bob")
    bob.joins("presence-b", "bob")
    (ann,) = conversation.joined("presence-a", "ann")
    ann.joins("presence-b", "ann-elsewhere")
    conversation.silence([bob])

    ann.disconnects()

    assert [(frame["channel"], data_of(frame)) for frame in bob.take()] == [
        ("presence-a", {"user_id": "ann"}),
        ("presence-b", {"user_id": "ann-elsewhere"}),
    ]


def test_a_refused_member_is_no_ghost() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-a", "bob")
    (eve,) = conversation.silence([conversation.connects()])

    eve.subscribes("presence-a", channel_data='{"user_id":"ann"}', auth=f"{CREDENTIALS.key}:{'0' * 64}")
    eve.disconnects()

    assert changes(bob) == []
    assert conversation.hub.users_of("presence-a") == {"bob": {}}


@pytest.mark.parametrize("channel_data", [None, "", "[]", '{"user_id":""}', '{"user_id":1e999}'])
def test_signed_data_that_describes_no_member_is_refused(channel_data: str | None) -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    (error,) = ann.subscribes("presence-a", channel_data=channel_data)

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", "presence-a")
    assert data_of(error)["status"] == 400
    assert conversation.hub.channels == {}


def test_the_ids_that_javascript_has_names_for_are_ids_like_others() -> None:
    conversation = Conversation()
    (bob,) = conversation.joined("presence-a", "__proto__")
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.joins("presence-a", 'a"\\\x00\u2028é😀')

    assert presence(answer)["ids"] == ["__proto__", 'a"\\\x00\u2028é😀']
    assert changes(bob) == [("added", {"user_id": 'a"\\\x00\u2028é😀', "user_info": {}})]


def test_the_word_nan_in_the_info_is_only_text() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    (answer,) = ann.joins("presence-a", "NaN", {"name": "Infinity"})

    assert presence(answer)["hash"] == {"NaN": {"name": "Infinity"}}


def test_a_full_channel_refuses_a_new_member() -> None:
    conversation = Conversation(Limits(presence_members=2))
    ann, _ = conversation.joined("presence-a", "ann", "bob")
    (cat,) = conversation.silence([conversation.connects()])
    conversation.silence([ann])

    (error,) = cat.joins("presence-a", "cat")

    assert (error["event"], error["channel"]) == ("pusher:subscription_error", "presence-a")
    assert (data_of(error)["type"], data_of(error)["status"]) == ("LimitReached", 4100)
    assert changes(ann) == []


def test_a_full_channel_takes_another_tab_of_a_member() -> None:
    conversation = Conversation(Limits(presence_members=2))
    conversation.joined("presence-a", "ann", "bob")
    (tab,) = conversation.silence([conversation.connects()])

    (answer,) = tab.joins("presence-a", "ann")

    assert presence(answer)["count"] == 2


def test_a_hundred_members_fit_by_default() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", *(f"user-{number}" for number in range(100)))
    (late,) = conversation.silence([conversation.connects()])

    (error,) = late.joins("presence-a", "one too many")

    assert error["event"] == "pusher:subscription_error"
    assert conversation.hub.user_count("presence-a") == 100


def test_a_member_that_left_makes_room() -> None:
    conversation = Conversation(Limits(presence_members=1))
    (ann,) = conversation.joined("presence-a", "ann")
    (bob,) = conversation.silence([conversation.connects()])
    ann.unsubscribes("presence-a")

    (answer,) = bob.joins("presence-a", "bob")

    assert presence(answer)["ids"] == ["bob"]


def test_the_counts_tell_users_from_connections() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", "ann", "ann", "bob")

    assert conversation.hub.user_count("presence-a") == 2
    assert len(conversation.hub.channels["presence-a"]) == 3
    assert conversation.hub.users_of("presence-a") == {"ann": {}, "bob": {}}


def test_nobody_is_present_where_nobody_is() -> None:
    conversation = Conversation()
    conversation.subscribed("orders", 1)

    assert (conversation.hub.user_count("presence-a"), conversation.hub.users_of("presence-a")) == (0, {})
    assert (conversation.hub.user_count("orders"), conversation.hub.users_of("orders")) == (0, {})


def test_the_spelling_of_channel_data_is_what_is_signed() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])
    spelling = '{ "user_id": "a\\/b", "user_info": {"name": "Zo\\u00eb"} }'
    tidied = json.dumps(json.loads(spelling))

    (refused,) = ann.subscribes(
        "presence-a",
        channel_data=tidied,
        auth=CREDENTIALS.channel_auth(ann.socket_id, "presence-a", spelling),
    )
    (answer,) = ann.subscribes("presence-a", channel_data=spelling)

    assert refused["event"] == "pusher:subscription_error"
    assert presence(answer)["hash"] == {"a/b": {"name": "Zoë"}}
