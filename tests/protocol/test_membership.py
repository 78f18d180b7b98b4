"""What a cache channel keeps, and what the application hears of its channels."""

from __future__ import annotations

import pytest

from broadcaster.protocol.effects import Notify
from broadcaster.protocol.limits import Limits

from .conversation import Conversation, channel_auth, data_of

CACHED = ["cache-prices", "private-cache-prices", "private-encrypted-cache-prices", "presence-cache-prices"]


def events(frames: list[dict[str, object]]) -> list[object]:
    return [frame["event"] for frame in frames]


# Cache channels


@pytest.mark.parametrize("channel", CACHED)
def test_a_late_subscriber_of_a_cache_channel_gets_the_last_event(channel: str) -> None:
    conversation = Conversation()
    conversation.broadcast(channel, '{"price":1}')
    conversation.broadcast(channel, '{"price":2}')

    client = conversation.silence([conversation.connects()])[0]
    member = '{"user_id":"ann"}' if channel.startswith("presence-") else None
    acknowledged, last = client.subscribes(channel, channel_data=member)

    assert acknowledged["event"] == "pusher_internal:subscription_succeeded"
    assert last == {"event": "news", "channel": channel, "data": '{"price":2}'}


def test_without_an_event_it_hears_of_the_miss() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    _, missed = client.subscribes("cache-prices")

    assert missed == {"event": "pusher:cache_miss", "channel": "cache-prices", "data": "{}"}
    assert conversation.news[-1] == Notify("cache_miss", "cache-prices")


@pytest.mark.parametrize("channel", ["prices", "private-prices", "my-cache-prices", "private-mycache-prices"])
def test_other_channels_keep_nothing(channel: str) -> None:
    conversation = Conversation()
    conversation.broadcast(channel)

    (client,) = conversation.silence([conversation.connects()])

    assert events(client.subscribes(channel)) == ["pusher_internal:subscription_succeeded"]


def test_the_event_outlives_the_subscribers() -> None:
    conversation = Conversation()
    (first,) = conversation.subscribed("cache-prices", 1)
    conversation.broadcast("cache-prices", "1")
    first.disconnects()

    (second,) = conversation.silence([conversation.connects()])

    assert events(second.subscribes("cache-prices"))[1] == "news"


def test_the_event_is_kept_for_half_an_hour() -> None:
    conversation = Conversation()
    conversation.passes(0)
    conversation.broadcast("cache-prices", "1")
    early, late = conversation.connects(), conversation.connects()

    conversation.passes(1_800)
    kept = events(early.subscribes("cache-prices"))
    conversation.passes(1)

    assert "news" in kept
    assert "pusher:cache_miss" in events(late.subscribes("cache-prices"))


def test_only_so_many_channels_have_an_event_that_is_kept() -> None:
    conversation = Conversation(Limits(cached_events=2))
    for name in ("cache-a", "cache-b", "cache-c"):
        conversation.broadcast(name)

    (client,) = conversation.silence([conversation.connects()])

    kept = [events(client.subscribes(name))[1] for name in ("cache-a", "cache-b", "cache-c")]
    assert kept == ["pusher:cache_miss", "news", "news"]


def test_a_client_event_is_not_kept() -> None:
    conversation = Conversation()
    first, second = conversation.silence(conversation.connects() for _ in range(2))
    first.subscribes("private-cache-a")
    first.whispers("private-cache-a")

    assert "pusher:cache_miss" in events(second.subscribes("private-cache-a"))


def test_a_repeat_does_not_become_the_last_event_again() -> None:
    conversation = Conversation()
    for message_id, data in (("1", "one"), ("2", "two"), ("1", "one")):
        conversation.perform(conversation.hub.broadcast("news", ["cache-a"], data, message_id=message_id))

    (client,) = conversation.silence([conversation.connects()])

    assert client.subscribes("cache-a")[1]["data"] == "two"


def test_to_subscribe_again_is_acknowledged_and_nothing_more() -> None:
    conversation = Conversation()
    conversation.broadcast("cache-a")
    (client,) = conversation.subscribed("cache-a", 1)

    assert events(client.subscribes("cache-a")) == ["pusher_internal:subscription_succeeded"]


# What the application hears


def test_the_application_hears_when_a_channel_is_occupied_and_when_it_is_vacated() -> None:
    conversation = Conversation()
    first, second = conversation.subscribed("a", 2)

    first.disconnects()
    second.unsubscribes("a")

    assert conversation.news == [Notify("channel_occupied", "a"), Notify("channel_vacated", "a")]


def test_it_hears_of_each_member_once_inside_of_the_occupation() -> None:
    conversation = Conversation()
    ann, tab, bob = conversation.joined("presence-a", "ann", "ann", "bob")

    for client in (ann, bob, tab):
        client.disconnects()

    assert conversation.news == [
        Notify("channel_occupied", "presence-a"),
        Notify("member_added", "presence-a", {"user_id": "ann"}),
        Notify("member_added", "presence-a", {"user_id": "bob"}),
        Notify("member_removed", "presence-a", {"user_id": "bob"}),
        Notify("member_removed", "presence-a", {"user_id": "ann"}),
        Notify("channel_vacated", "presence-a"),
    ]


def test_it_hears_of_client_events_that_were_accepted_and_from_whom() -> None:
    conversation = Conversation()
    (ann,) = conversation.joined("presence-a", "ann")
    ann.subscribes("private-a")
    ann.subscribes("public")
    conversation.news.clear()

    ann.whispers("presence-a", data={"on": True})
    ann.whispers("private-a", data='{"on":true}')
    ann.whispers("public")

    sent = {"event": "client-typing", "data": '{"on":true}', "socket_id": ann.socket_id}
    assert conversation.news == [
        Notify("client_event", "presence-a", {**sent, "user_id": "ann"}),
        Notify("client_event", "private-a", sent),
    ]


def test_a_refused_subscription_is_no_news() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    client.subscribes("private-a", auth="wrong")

    assert conversation.news == []


# Connections that nobody has signed in on


@pytest.mark.parametrize("says", ["nothing", "a public channel", "a wrong signature"])
def test_a_connection_that_does_not_say_who_it_is_in_time_is_closed_with_4009(says: str) -> None:
    conversation = Conversation(Limits(sign_in_timeout=30))
    (client,) = conversation.silence([conversation.connects()])
    if says == "a public channel":
        client.subscribes("public")
    if says == "a wrong signature":
        client.subscribes("private-a", auth="wrong")

    conversation.passes(29)
    assert client.closed_with is None
    conversation.passes(1)

    assert client.closed_with == 4009


def test_a_guarded_channel_or_a_sign_in_says_who_it_is_for_good() -> None:
    conversation = Conversation(Limits(sign_in_timeout=30))
    ann, bob = conversation.silence(conversation.connects() for _ in range(2))
    ann.signs_in("ann")
    bob.subscribes("private-a", auth=channel_auth(bob.socket_id, "private-a"))
    bob.unsubscribes("private-a")

    conversation.passes(60)

    assert (ann.closed_with, bob.closed_with) == (None, None)


def test_unless_it_is_asked_for_nobody_has_to_sign_in() -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("public", 1)

    conversation.passes(100)

    assert client.closed_with is None


def test_the_frame_that_is_kept_is_the_one_that_was_pushed() -> None:
    conversation = Conversation()
    (early,) = conversation.subscribed("cache-a", 1)
    conversation.broadcast("cache-a", '{"n":1}')
    (late,) = conversation.silence([conversation.connects()])

    late.subscribes("cache-a")

    assert late.texts[-1] == early.texts[-1]
    assert data_of(early.take()[-1]) == {"n": 1}
