from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.protocol.limits import Limits
from broadcaster.protocol.repeats import Repeats

from .conversation import Conversation


def test_an_id_is_new_once_on_each_channel() -> None:
    repeats = Repeats(window=60, most=100)

    assert repeats.is_new("id", "a")
    assert repeats.is_new("id", "b")
    assert repeats.is_new("other", "a")
    assert not repeats.is_new("id", "a")
    assert not repeats.is_new("id", "b")


def test_after_the_window_an_id_is_forgotten() -> None:
    repeats = Repeats(window=60, most=100)
    repeats.tick(1_000)
    repeats.is_new("id", "a")

    repeats.tick(1_060)
    assert not repeats.is_new("id", "a")
    repeats.tick(1_061)

    assert len(repeats) == 0
    assert repeats.is_new("id", "a")


def test_no_more_than_so_many_are_remembered_and_the_oldest_go_first() -> None:
    repeats = Repeats(window=60, most=3)

    for number in range(10):
        repeats.is_new(str(number), "a")

    assert len(repeats) == 3
    assert [repeats.is_new(str(number), "a") for number in (9, 8, 7)] == [False] * 3
    assert repeats.is_new("6", "a")


def test_without_a_window_nothing_is_a_repeat() -> None:
    repeats = Repeats(window=0, most=100)

    assert repeats.is_new("id", "a")
    assert repeats.is_new("id", "a")


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xy"), st.integers(0, 5)), max_size=60))
def test_within_window_and_bounds_nothing_is_new_twice(steps: list[tuple[str, str, int]]) -> None:
    repeats = Repeats(window=10, most=1_000)
    now = 0
    seen: dict[tuple[str, str], int] = {}

    for message_id, channel, pause in steps:
        now += pause
        repeats.tick(now)
        fresh = now - seen.get((message_id, channel), -100) > 10
        assert repeats.is_new(message_id, channel) == fresh
        if fresh:
            seen[message_id, channel] = now


# On the hub


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
def test_remembering_may_be_switched_off(most: int) -> None:
    conversation = Conversation(Limits(repeats_remembered=most))
    (client,) = conversation.subscribed("a", 1)

    for _ in range(2):
        conversation.perform(conversation.hub.broadcast("e", ["a"], "{}", message_id="1"))

    assert len(client.take()) == 2 - most
