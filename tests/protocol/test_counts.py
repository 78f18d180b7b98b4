"""How many subscribers there are, told to them."""

from __future__ import annotations

import pytest

from broadcaster.protocol.effects import Notify

from .conversation import Conversation, Frame, data_of


def counts(frames: list[Frame]) -> list[int]:
    """Return the counts that the frames tell."""
    return [
        data_of(frame)["subscription_count"]
        for frame in frames
        if frame["event"] == "pusher_internal:subscription_count"
    ]


@pytest.mark.parametrize("channel", ["public", "private-a", "private-encrypted-a", "cache-a"])
def test_every_subscriber_hears_how_many_they_are_the_new_one_after_its_acknowledgement(channel: str) -> None:
    conversation = Conversation(subscription_counts=True)
    first, second = conversation.silence(conversation.connects() for _ in range(2))

    heard_first = first.subscribes(channel)
    heard_second = second.subscribes(channel)

    assert heard_first[0]["event"] == heard_second[0]["event"] == "pusher_internal:subscription_succeeded"
    assert (counts(heard_first), counts(heard_second), counts(first.take())) == ([1], [2], [2])


def test_those_who_stay_hear_it_when_one_leaves() -> None:
    conversation = Conversation(subscription_counts=True)
    first, second, third = conversation.subscribed("a", 3)

    second.unsubscribes("a")
    third.disconnects()

    assert counts(first.take()) == [2, 1]
    assert counts(second.take()) == []


def test_to_subscribe_twice_is_no_change() -> None:
    conversation = Conversation(subscription_counts=True)
    (client,) = conversation.subscribed("a", 1)

    assert counts(client.subscribes("a")) == []


def test_presence_channels_and_those_of_a_user_tell_no_count() -> None:
    conversation = Conversation(subscription_counts=True)
    (client,) = conversation.joined("presence-a", "ann")
    client.signs_in("ann")

    assert counts(client.joins("presence-b", "ann")) == []
    assert counts(client.subscribes("#server-to-user-ann", auth="")) == []


def test_an_application_that_did_not_ask_for_counts_gets_none() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    assert counts(client.subscribes("a")) == []
    assert all(news.name != "subscription_count" for news in conversation.news)


def test_a_big_channel_hears_its_count_every_five_seconds_at_most() -> None:
    conversation = Conversation(subscription_counts=True)
    first, *_ = conversation.subscribed("a", 100)
    more = conversation.subscribed("a", 3)
    at_once = counts(first.take())

    conversation.passes(5)
    after_five_seconds = counts(first.take())
    more[0].disconnects()
    conversation.passes(4.9)
    too_early = counts(first.take())
    conversation.passes(0.1)

    assert (at_once, after_five_seconds, too_early, counts(first.take())) == ([], [103], [], [102])


def test_a_channel_that_has_become_small_again_hears_it_at_once_and_once() -> None:
    conversation = Conversation(subscription_counts=True)
    first, *_ = conversation.subscribed("a", 100)
    (last,) = conversation.subscribed("a", 1)

    last.disconnects()
    conversation.passes(5)

    assert counts(first.take()) == [100]


def test_a_channel_that_is_gone_is_told_to_nobody() -> None:
    conversation = Conversation(subscription_counts=True)
    for client in conversation.subscribed("a", 101):
        client.connection.touch(conversation.now)

    for connection in list(conversation.hub.connections.values()):
        conversation.perform(conversation.hub.disconnected(connection))
    conversation.news.clear()
    conversation.passes(5)

    assert conversation.news == []


def test_the_application_hears_it_too() -> None:
    conversation = Conversation(subscription_counts=True)

    conversation.subscribed("a", 2)

    assert [news for news in conversation.news if news.name == "subscription_count"] == [
        Notify("subscription_count", "a", {"subscription_count": 1}),
        Notify("subscription_count", "a", {"subscription_count": 2}),
    ]
