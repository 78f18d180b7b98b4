from __future__ import annotations

import pytest

from broadcaster.protocol.effects import Join, Keep, Leave, Relay, Report, Terminate
from broadcaster.protocol.elsewhere import Change, Elsewhere, place_of
from broadcaster.protocol.limits import Limits

from .conversation import Client, Conversation, data_of

SUCCEEDED = "pusher_internal:subscription_succeeded"


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(peers=True)


def names(client: Client) -> list[str]:
    return [frame["event"] for frame in client.take()]


def heard(conversation: Conversation, channel: str, elsewhere: Elsewhere | None = None) -> None:
    """Other nodes are heard on *channel* from now on."""
    conversation.perform(conversation.hub.joined(channel, elsewhere or Elsewhere()))


# Joining


def test_the_first_one_on_a_channel_is_let_on_when_other_nodes_are_heard(conversation: Conversation) -> None:
    ann = conversation.connects()
    ann.take()

    assert ann.subscribes("a") == []
    assert conversation.outside == [Join("a")]
    heard(conversation, "a")

    assert names(ann) == [SUCCEEDED]


def test_whoever_comes_meanwhile_waits_too_and_whoever_comes_later_does_not(
    conversation: Conversation,
) -> None:
    ann, bob, cid = (conversation.connects() for _ in range(3))
    conversation.silence([ann, bob, cid])
    ann.joins("presence-a", "ann")
    assert bob.joins("presence-a", "bob") == []
    heard(conversation, "presence-a")

    cid.joins("presence-a", "cid")

    assert conversation.outside == [Join("presence-a", watch=True)]
    first, *others = [frame for frame in ann.take() if "count" not in frame["event"]]
    assert data_of(first)["presence"]["ids"] == ["ann"]
    assert [data_of(frame)["user_id"] for frame in others] == ["bob", "cid"]


def test_asking_twice_is_asking_once(conversation: Conversation) -> None:
    ann = conversation.connects()
    ann.take()

    ann.subscribes("a")
    ann.subscribes("a")
    heard(conversation, "a")

    assert conversation.outside == [Join("a")]
    assert names(ann).count(SUCCEEDED) == 1


@pytest.mark.parametrize("goes", [lambda ann: ann.unsubscribes("a"), lambda ann: ann.disconnects()])
def test_who_goes_while_it_waits_is_not_let_on(conversation: Conversation, goes: object) -> None:
    ann = conversation.connects()
    ann.take()
    ann.subscribes("a")

    goes(ann)  # type: ignore[operator]
    heard(conversation, "a")

    assert conversation.outside == [Join("a"), Leave("a")]
    assert (ann.take(), conversation.hub.channels) == ([], {})


def test_the_channel_is_left_when_the_last_one_that_waits_goes(conversation: Conversation) -> None:
    ann, bob = conversation.connects(), conversation.connects()
    for client in (ann, bob):
        client.subscribes("a")

    ann.disconnects()
    assert conversation.outside == [Join("a")]
    bob.disconnects()

    assert conversation.outside == [Join("a"), Leave("a")]


def test_the_channel_is_left_when_the_last_subscriber_goes_and_joined_anew(
    conversation: Conversation,
) -> None:
    ann = conversation.connects()
    ann.subscribes("a")
    heard(conversation, "a")

    ann.unsubscribes("a")
    ann.subscribes("a")

    assert conversation.outside == [Join("a"), Leave("a"), Join("a")]


def test_at_the_end_every_channel_is_left(conversation: Conversation) -> None:
    ann = conversation.connects()
    ann.subscribes("a")
    heard(conversation, "a")
    ann.subscribes("b")

    conversation.perform(conversation.hub.close(4100, "bye"))

    assert conversation.outside == [Join("a"), Join("b"), Leave("a"), Leave("b")]


def test_who_waits_takes_room_on_its_connection() -> None:
    conversation = Conversation(Limits(channels_per_connection=2), peers=True)
    ann = conversation.connects()
    ann.take()

    for channel in "abc":
        ann.subscribes(channel)

    assert conversation.outside == [Join("a"), Join("b")]


def test_a_seat_that_was_taken_meanwhile_is_refused() -> None:
    conversation = Conversation(Limits(presence_members=1), peers=True)
    ann, bob = conversation.connects(), conversation.connects()
    for client, user in ((ann, "ann"), (bob, "bob")):
        client.take()
        client.joins("presence-a", user)

    heard(conversation, "presence-a")

    assert names(ann) == [SUCCEEDED]
    assert names(bob) == ["pusher:subscription_error"]


# Saying and hearing


def test_an_event_is_relayed_whether_somebody_is_here_or_not(conversation: Conversation) -> None:
    effects = conversation.hub.broadcast("news", ["a", "b"], "1", except_socket="1.2", message_id="7")

    assert effects == [Relay("news", ("a", "b"), "1", "1.2", "7")]


def test_what_is_relayed_is_heard_once_and_goes_no_further(conversation: Conversation) -> None:
    ann, bob = conversation.subscribed("a", 2)
    heard(conversation, "a")
    conversation.silence([ann, bob])
    conversation.outside.clear()

    for _ in range(2):
        relay = Relay("news", ("a",), "1", ann.socket_id, "7")
        conversation.perform(conversation.hub.relayed(relay))

    assert ann.take() == []
    assert [frame["data"] for frame in bob.take()] == ["1"]
    assert conversation.outside == []


def test_a_whisper_is_heard_everywhere_in_the_name_of_its_sender(conversation: Conversation) -> None:
    ann, bob = conversation.joined("presence-a", "ann", "bob")
    heard(conversation, "presence-a")
    conversation.silence([ann, bob])
    conversation.outside.clear()

    ann.whispers("presence-a", "client-typing", {})
    (relay,) = conversation.outside
    assert isinstance(relay, Relay)
    assert (relay.whisper, relay.user_id) == (True, "ann")
    bob.take()
    for _ in range(2):
        conversation.perform(conversation.hub.relayed(Relay(
            relay.name, relay.channels, relay.data, None, "7", whisper=True, user_id="ann"
        )))  # fmt: skip

    (frame,) = bob.take()
    assert (frame["event"], frame["user_id"]) == ("client-typing", "ann")


def test_a_user_is_terminated_on_every_node(conversation: Conversation) -> None:
    ann, bob = conversation.connects(), conversation.connects()
    ann.signs_in("ann")
    bob.signs_in("bob")

    conversation.perform(conversation.hub.terminate("ann"))
    conversation.perform(conversation.hub.terminated("bob"))

    assert [ann.closed_with, bob.closed_with] == [4009, 4009]
    assert conversation.outside == [Terminate("ann")]


# Missing


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_cache_channel_does_not_tell_what_may_not_be_its_last_event(
    conversation: Conversation, interrupted: bool
) -> None:
    ann = conversation.connects()
    ann.subscribes("cache-a")
    heard(conversation, "cache-a")
    conversation.broadcast("cache-a", "1")
    if interrupted:
        conversation.hub.interrupted()
    ann.unsubscribes("cache-a")
    ann.take()

    ann.subscribes("cache-a")
    heard(conversation, "cache-a")

    assert "pusher:cache_miss" in names(ann)


# Who is where


def test_a_member_of_another_node_is_there_from_the_start(conversation: Conversation) -> None:
    ann = conversation.connects()
    ann.take()
    ann.joins("presence-a", "ann")

    heard(conversation, "presence-a", Elsewhere(2, {"bob": {"name": "Bob"}}))

    (joined,) = ann.take()
    assert data_of(joined)["presence"]["hash"] == {"bob": {"name": "Bob"}, "ann": {}}


def test_a_user_with_a_connection_here_and_elsewhere_comes_once_and_goes_once(
    conversation: Conversation,
) -> None:
    ann, bob = conversation.joined("presence-a", "ann", "bob")
    heard(conversation, "presence-a")
    conversation.silence([ann, bob])

    conversation.perform(conversation.hub.learned("presence-a", Change(2, {"bob": None, "cid": None})))
    assert [data_of(frame)["user_id"] for frame in ann.take()] == ["cid"]
    bob.disconnects()
    assert ann.take() == []
    conversation.perform(conversation.hub.learned("presence-a", Change(0, gone=("bob", "cid", "dan"))))

    assert [data_of(frame)["user_id"] for frame in ann.take()] == ["bob", "cid"]


def test_what_is_new_here_is_reported_and_webhooks_are_left_to_the_group(conversation: Conversation) -> None:
    ann = conversation.connects()
    ann.joins("presence-a", "ann", {"name": "Ann"})
    heard(conversation, "presence-a")
    ann.disconnects()

    assert conversation.reports == [
        Report("presence-a", Change(1, {"ann": {"name": "Ann"}})),
        Report("presence-a", Change(0, gone=("ann",))),
    ]
    assert conversation.news == []


def test_a_channel_that_is_full_elsewhere_is_refused_and_left() -> None:
    conversation = Conversation(Limits(presence_members=1), peers=True)
    ann = conversation.connects()
    ann.take()
    ann.joins("presence-a", "ann")

    heard(conversation, "presence-a", Elsewhere(1, {"bob": None}))

    assert names(ann) == ["pusher:subscription_error"]
    assert conversation.outside == [Join("presence-a", watch=True), Leave("presence-a")]


def test_the_subscribers_of_all_nodes_are_counted() -> None:
    conversation = Conversation(peers=True, subscription_counts=True)
    ann = conversation.connects()
    ann.take()
    ann.subscribes("a")
    heard(conversation, "a", Elsewhere(4))
    assert data_of(ann.take()[1]) == {"subscription_count": 5}
    told = len(conversation.news)

    conversation.perform(conversation.hub.learned("a", Change(6)))

    assert data_of(ann.take()[0]) == {"subscription_count": 7}
    assert len(conversation.news) == told


def test_the_last_event_of_a_cache_channel_is_kept_for_all_nodes(conversation: Conversation) -> None:
    conversation.perform(conversation.hub.broadcast("news", ["cache-a"], "1"))
    (kept,) = conversation.reports
    assert isinstance(kept, Keep)
    ann = conversation.connects()
    ann.take()

    ann.subscribes("cache-a")
    heard(conversation, "cache-a", Elsewhere(cached=kept.frame.replace("1", "2")))

    assert [frame["data"] for frame in ann.take()] == ["{}", "2"]


def test_whoever_watches_users_hears_when_it_is_known_of_all(conversation: Conversation) -> None:
    ann = conversation.connects()
    ann.take()
    answer = ann.signs_in("ann", watchlist=["bob", "cid"])
    assert [frame["event"] for frame in answer] == ["pusher:signin_success"]

    heard(conversation, place_of("bob"), Elsewhere(1))
    assert ann.take() == []
    heard(conversation, place_of("cid"))
    assert data_of(ann.take()[0])["events"] == [
        {"name": "online", "user_ids": ["bob"]},
        {"name": "offline", "user_ids": ["cid"]},
    ]
    conversation.perform(conversation.hub.learned(place_of("bob"), Change(0)))
    assert data_of(ann.take()[0])["events"] == [{"name": "offline", "user_ids": ["bob"]}]
    ann.disconnects()

    watched = [place_of("bob"), place_of("cid")]
    assert conversation.outside == [
        *(Join(place, watch=True) for place in watched),
        *(Leave(place) for place in watched),
    ]
    assert conversation.reports == [Report(place_of("ann"), Change(count)) for count in (1, 0)]
