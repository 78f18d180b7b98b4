"""Watchlists: who hears when a user comes or goes."""

from __future__ import annotations

import json

import pytest

from broadcaster.protocol.limits import Limits

from .conversation import CREDENTIALS, Client, Conversation, Frame, data_of


def changes(frames: list[Frame]) -> list[tuple[str, list[str]]]:
    """Return what the frames of the watchlist tell."""
    return [
        (event["name"], event["user_ids"])
        for frame in frames
        if frame["event"] == "pusher_internal:watchlist_events"
        for event in data_of(frame)["events"]
    ]


def watching(conversation: Conversation, user_id: str, *watchlist: str) -> Client:
    """Connect a client that signs in with a watchlist; nothing is unread."""
    client = conversation.connects()
    client.signs_in(user_id, watchlist=list(watchlist))
    return conversation.silence([client])[0]


def test_who_signs_in_hears_first_that_it_did_and_then_who_is_there() -> None:
    conversation = Conversation()
    watching(conversation, "bob")
    (ann,) = conversation.silence([conversation.connects()])

    success, standing = ann.signs_in("ann", watchlist=["bob", "cat", "bob"])

    assert success["event"] == "pusher:signin_success"
    assert "channel" not in standing
    assert changes([standing]) == [("online", ["bob"]), ("offline", ["cat"])]


def test_what_holds_for_nobody_is_left_out() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    assert changes(ann.signs_in("ann", watchlist=["cat"])) == [("offline", ["cat"])]


def test_without_a_watchlist_nothing_is_told() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    assert [frame["event"] for frame in ann.signs_in("ann")] == ["pusher:signin_success"]


def test_a_watcher_hears_of_the_first_connection_of_a_user_and_of_the_end_of_the_last() -> None:
    conversation = Conversation()
    ann = watching(conversation, "ann", "bob")

    first, second = watching(conversation, "bob"), watching(conversation, "bob")
    came = changes(ann.take())
    first.disconnects()
    still_there = ann.take()
    second.disconnects()

    assert (came, still_there, changes(ann.take())) == ([("online", ["bob"])], [], [("offline", ["bob"])])


def test_every_connection_of_a_watcher_hears_and_nobody_else() -> None:
    conversation = Conversation()
    tabs = [watching(conversation, "ann", "bob") for _ in range(2)]
    other = watching(conversation, "cat", "dan")

    watching(conversation, "bob")

    assert [changes(tab.take()) for tab in tabs] == [[("online", ["bob"])]] * 2
    assert other.take() == []


def test_a_watcher_may_watch_itself() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    assert changes(ann.signs_in("ann", watchlist=["ann"])) == [("online", ["ann"])]
    ann.disconnects()

    assert conversation.hub._users._watchers == {}


def test_a_watcher_that_is_gone_hears_nothing_and_leaves_nothing() -> None:
    conversation = Conversation()
    ann = watching(conversation, "ann", "bob")

    ann.disconnects()
    watching(conversation, "bob")

    assert conversation.hub._users._watchers == {}


def test_the_watchlist_of_the_latest_sign_in_holds() -> None:
    conversation = Conversation()
    ann = watching(conversation, "ann", "bob")

    ann.signs_in("ann", watchlist=["cat"])
    watching(conversation, "bob")
    watching(conversation, "cat")

    assert changes(ann.take()) == [("online", ["cat"])]


def test_a_user_that_is_thrown_out_is_gone_for_its_watchers() -> None:
    conversation = Conversation()
    ann = watching(conversation, "ann", "bob")
    watching(conversation, "bob")
    conversation.silence([ann])

    conversation.perform(conversation.hub.terminate("bob"))

    assert changes(ann.take()) == [("offline", ["bob"])]


def test_a_watchlist_that_is_too_long_is_cut_and_told() -> None:
    conversation = Conversation(Limits(watchlist=2))
    (ann,) = conversation.silence([conversation.connects()])

    success, standing, error = ann.signs_in("ann", watchlist=["a", "b", "c"])

    assert success["event"] == "pusher:signin_success"
    assert changes([standing]) == [("offline", ["a", "b"])]
    assert (error["event"], error["data"]["code"]) == ("pusher:error", 4302)


def test_a_hundred_users_can_be_watched() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])

    frames = ann.signs_in("ann", watchlist=[str(number) for number in range(100)])

    assert [frame["event"] for frame in frames] == [
        "pusher:signin_success",
        "pusher_internal:watchlist_events",
    ]


@pytest.mark.parametrize("watchlist", ["bob", 7, [7], [None], {"bob": True}])
def test_a_watchlist_that_is_none_is_an_error(watchlist: object) -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])
    user_data = json.dumps({"id": "ann", "watchlist": watchlist})
    auth = CREDENTIALS.user_auth(client.socket_id, user_data)

    (error,) = client.says("pusher:signin", {"auth": auth, "user_data": user_data})

    assert (error["event"], error["data"]["code"], client.closed_with) == ("pusher:error", 4009, None)
    assert not conversation.hub._users
