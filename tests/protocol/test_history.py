from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.protocol.history import History
from broadcaster.protocol.limits import Limits

from .conversation import Client, Conversation, Frame

ALL = ("*",)


def talking(limits: Limits | None = None) -> tuple[Conversation, Client]:
    """Return a conversation with a history, and a client that is subscribed to `a`."""
    conversation = Conversation(limits, history=("a", "private-*"))
    (client,) = conversation.subscribed("a", 1)
    return conversation, client


def back(conversation: Conversation, last_id: str | None, *, channel: str = "a") -> list[Frame]:
    """Return what a client hears that comes back with the id of the last event it has."""
    (client,) = conversation.silence([conversation.connects()])
    return client.subscribes(channel, last_id=last_id)


def data(frames: list[Frame]) -> list[str]:
    return [frame["data"] for frame in frames if frame["event"] == "news"]


def test_events_of_a_channel_with_a_history_have_an_id_beside_their_data() -> None:
    conversation, client = talking()

    conversation.broadcast("a", "1")

    (frame,) = client.take()
    assert frame == {"event": "news", "channel": "a", "data": "1", "id": "0-1"}


def test_other_events_have_none() -> None:
    conversation, _ = talking()
    (client,) = conversation.subscribed("b", 1)

    conversation.broadcast("b", "1")

    assert "id" not in client.take()[0]


def test_who_comes_back_gets_what_it_has_missed_in_order_after_the_acknowledgement() -> None:
    conversation, client = talking()
    for number in range(4):
        conversation.broadcast("a", str(number))
    last_id = client.take()[1]["id"]

    acknowledged, *missed = back(conversation, last_id)

    assert acknowledged["event"] == "pusher_internal:subscription_succeeded"
    assert data(missed) == ["2", "3"]
    assert [frame["id"] for frame in missed] == ["0-3", "0-4"]


def test_who_has_heard_nothing_yet_goes_on_from_the_acknowledgement() -> None:
    conversation = Conversation(history=ALL)
    conversation.broadcast("a", "before")
    (client,) = conversation.silence([conversation.connects()])
    acknowledged = client.subscribes("a")
    client.disconnects()
    conversation.broadcast("a", "missed")

    assert data(back(conversation, acknowledged[0]["id"])) == ["missed"]


def test_who_names_no_event_gets_none() -> None:
    conversation, _ = talking()
    conversation.broadcast("a", "1")

    (acknowledged,) = back(conversation, None)

    assert acknowledged["id"] == "0-1"


@pytest.mark.parametrize("last_id", ["", "nonsense", "other-1", "0-999", "0-" + "9" * 40, "0--1"])
def test_an_id_of_nobody_knows_when_is_a_gap(last_id: str) -> None:
    conversation, _ = talking()
    conversation.broadcast("a", "1")

    _, gap = back(conversation, last_id)

    assert gap == {"event": "broadcaster:gap", "channel": "a", "data": "{}", "id": "0-1"}


def test_what_is_beyond_the_bounds_is_a_gap() -> None:
    conversation, client = talking(Limits(history_events=2))
    for number in range(4):
        conversation.broadcast("a", str(number))
    ids = [frame["id"] for frame in client.take()]

    heard = [back(conversation, last_id) for last_id in ids]

    assert [[frame["event"] for frame in frames[1:]] for frames in heard] == [
        ["broadcaster:gap"],
        ["news", "news"],
        ["news"],
        [],
    ]


def test_what_is_too_old_is_a_gap() -> None:
    conversation, client = talking(Limits(history_seconds=60))
    conversation.passes(0)
    conversation.broadcast("a", "1")
    conversation.broadcast("a", "2")
    first = client.take()[0]["id"]
    conversation.passes(61)

    assert back(conversation, first)[1]["event"] == "broadcaster:gap"


def test_what_happened_elsewhere_is_no_gap() -> None:
    conversation, client = talking()
    conversation.broadcast("a", "1")
    last_id = client.take()[0]["id"]
    for _ in range(100):
        conversation.broadcast("private-b", "x")
    conversation.broadcast("a", "2")

    assert data(back(conversation, last_id)) == ["2"]


def test_a_channel_that_was_forgotten_is_a_gap_and_none_for_who_was_there_later() -> None:
    conversation = Conversation(Limits(history_channels=2), history=ALL)
    (client,) = conversation.subscribed("a", 1)
    conversation.broadcast("a", "1")
    (first,) = client.take()
    for channel in ("a", "b", "c"):
        conversation.broadcast(channel, "x")
    (later,) = conversation.silence([conversation.connects()])
    seen = later.subscribes("a")[0]["id"]
    conversation.broadcast("a", "2")

    assert back(conversation, first["id"])[1]["event"] == "broadcaster:gap"
    assert data(back(conversation, seen)) == ["2"]


def test_a_private_channel_takes_its_signature_first() -> None:
    conversation, _ = talking()
    conversation.broadcast("private-b", "secret")
    (client,) = conversation.silence([conversation.connects()])

    (refused,) = client.says("pusher:subscribe", {"channel": "private-b", "auth": "no", "last_id": "0-0"})

    assert refused["event"] == "pusher:subscription_error"


def test_presence_and_cache_channels_have_one_too() -> None:
    conversation = Conversation(history=ALL)
    for channel in ("presence-a", "cache-a"):
        conversation.broadcast(channel, "1")
        conversation.broadcast(channel, "2")
    (client,) = conversation.silence([conversation.connects()])

    member = json.dumps({"user_id": "ann"})
    present = client.subscribes("presence-a", channel_data=member, last_id="0-1")
    cached = client.subscribes("cache-a", last_id="0-3")

    assert (data(present), data(cached)) == (["2"], ["2"])


@pytest.mark.parametrize(
    ("pattern", "channel", "kept"),
    [
        ("orders.*", "orders.7", True),
        ("orders.*", "private-orders.7", False),
        ("private-orders.*", "private-orders.7.items", True),
        ("*", "anything", True),
        ("a.c", "abc", False),
        ("a", "ab", False),
        ("presence-*-room", "presence-big-room", True),
    ],
)
def test_a_pattern_is_a_whole_name_in_which_a_star_stands_for_anything(
    pattern: str, channel: str, kept: bool
) -> None:
    assert History((pattern,), Limits(), epoch="0").keeps(channel) == kept


def test_unless_it_is_asked_for_nothing_is_kept() -> None:
    assert not History((), Limits(), epoch="0").keeps("a")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from("abc")),
        st.tuples(st.just("leave"), st.sampled_from("abc")),
        st.tuples(st.just("pass"), st.integers(1, 40)),
    ),
    max_size=60,
)


def resumed(limits: Limits, steps: list[tuple[str, str | int]]) -> list[tuple[list[str] | None, list[str]]]:
    """Return what each client gets that left on the way, and what it has missed."""
    history, now = History(ALL, limits, epoch="e"), 0
    sent: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    gone: list[tuple[str, int, str]] = []
    for what, subject in steps:
        match what, subject:
            case "event", str(channel):
                sent[channel].append(history.add(channel, str))
            case "leave", str(channel):
                gone.append((channel, len(sent[channel]), history.latest()))
            case _, int(pause):
                now += pause
                history.tick(now)
    return [(history.since(channel, last), sent[channel][had:]) for channel, had, last in gone]


@given(steps)
def test_nothing_is_ever_missing_without_a_gap(steps: list[tuple[str, str | int]]) -> None:
    limits = Limits(history_events=3, history_seconds=60, history_channels=2)

    assert all(got is None or got == missed for got, missed in resumed(limits, steps))


@given(steps)
def test_within_the_bounds_there_is_never_a_gap(steps: list[tuple[str, str | int]]) -> None:
    limits = Limits(history_events=60, history_seconds=60 * 40, history_channels=3)

    assert all(got == missed for got, missed in resumed(limits, steps))
