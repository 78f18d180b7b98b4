from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.protocol.limits import Limits
from broadcaster.protocol.recent import Recent

from .conversation import Conversation


def test_the_latest_value_of_a_key_is_remembered() -> None:
    recent: Recent[str, int] = Recent(seconds=60, most=100)

    recent.put("a", 1)
    recent.put("b", 2)
    recent.put("a", 3)

    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (3, 2, None)
    assert ("a" in recent, "c" in recent, len(recent)) == (True, False, 2)


def test_what_is_older_than_its_time_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(seconds=60, most=100)
    recent.tick(1_000)
    recent.put("a", 1)

    recent.tick(1_060)
    assert "a" in recent
    recent.tick(1_061)

    assert len(recent) == 0


def test_to_put_anew_is_to_begin_anew() -> None:
    recent: Recent[str, int] = Recent(seconds=60, most=2)
    recent.put("a", 1)
    recent.put("b", 2)

    recent.put("a", 3)
    recent.put("c", 4)

    assert [key in recent for key in "abc"] == [True, False, True]


def test_no_more_than_so_many_are_remembered_and_the_oldest_go_first() -> None:
    recent: Recent[int, None] = Recent(seconds=60, most=3)

    for number in range(10):
        recent.put(number, None)

    assert len(recent) == 3
    assert [number in recent for number in (6, 7, 8, 9)] == [False, True, True, True]


@pytest.mark.parametrize(("seconds", "most"), [(0, 100), (60, 0)])
def test_remembering_may_be_switched_off(seconds: int, most: int) -> None:
    recent: Recent[str, int] = Recent(seconds=seconds, most=most)

    recent.put("a", 1)

    assert "a" not in recent


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), max_size=60))
def test_within_time_and_bounds_nothing_is_forgotten(steps: list[tuple[str, int]]) -> None:
    recent: Recent[str, int] = Recent(seconds=10, most=1_000)
    now = 0
    put: dict[str, int] = {}

    for key, pause in steps:
        now += pause
        recent.tick(now)
        assert (key in recent) == (now - put.get(key, -100) <= 10)
        recent.put(key, now)
        put[key] = now


# Repeats, on the hub


def test_a_message_that_comes_again_is_not_pushed_again() -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)

    for _ in range(3):
        conversation.perform(conversation.hub.broadcast("e", ["a"], "{}", message_id="1"))
    conversation.perform(conversation.hub.broadcast("e", ["a"], "{}", message_id="2"))

    assert len(client.take()) == 2


def test_messages_without_an_id_are_all_pushed() -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)

    for _ in range(2):
        conversation.perform(conversation.hub.broadcast("e", ["a"], "{}"))

    assert len(client.take()) == 2


def test_a_repeat_reaches_the_channels_that_the_first_did_not_name() -> None:
    conversation = Conversation()
    (one,), (two,) = conversation.subscribed("a", 1), conversation.subscribed("b", 1)

    conversation.perform(conversation.hub.broadcast("e", ["a"], "{}", message_id="1"))
    conversation.perform(conversation.hub.broadcast("e", ["a", "b"], "{}", message_id="1"))

    assert [len(client.take()) for client in (one, two)] == [1, 1]


def test_the_hub_forgets_ids_with_time() -> None:
    conversation = Conversation(Limits(repeat_window=60))
    (client,) = conversation.subscribed("a", 1)
    hub = conversation.hub

    for now in (1_000, 1_060, 1_061):
        hub.tick(now)
        conversation.perform(hub.broadcast("e", ["a"], "{}", message_id="1"))

    assert len(client.take()) == 2


@pytest.mark.parametrize("most", [0, 1])
def test_a_hub_may_take_every_message_for_a_new_one(most: int) -> None:
    conversation = Conversation(Limits(repeats_remembered=most))
    (client,) = conversation.subscribed("a", 1)

    for _ in range(2):
        conversation.perform(conversation.hub.broadcast("e", ["a"], "{}", message_id="1"))

    assert len(client.take()) == 2 - most
