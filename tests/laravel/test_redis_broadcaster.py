"""Laravel's RedisBroadcasterTest: what laravel-echo-server is answered."""

from __future__ import annotations

from typing import Any

from broadcaster import BroadcastManager, Member
from tests.laravel.asking import REFUSED, ask

MEMBER = Member(42, {"a": "b", "c": "d"})


def answer(verdict: object, channel: str, *, user: object = 42) -> tuple[int, Any]:
    broadcast = BroadcastManager.from_dict(
        {"driver": "redis", "drivers": {"redis": {"prefix": "laravel_database_"}}}
    )
    broadcast.channel("test")(lambda user: verdict)
    return ask(broadcast, channel, user, socket_id="abcd.1234")


def test_a_private_channel_is_joined_where_the_rule_says_true() -> None:
    status, _ = answer(True, "private-test")

    assert status == 200


def test_a_private_channel_is_denied_where_the_rule_says_false() -> None:
    assert answer(False, "private-test") == REFUSED


def test_a_private_channel_is_denied_without_a_user() -> None:
    assert answer(True, "private-test", user=None) == REFUSED


def test_a_presence_channel_is_joined_where_the_rule_says_who() -> None:
    status, _ = answer(MEMBER, "presence-test")

    assert status == 200


def test_a_presence_channel_is_denied_where_the_rule_says_nothing() -> None:
    assert answer(None, "presence-test") == REFUSED


def test_a_presence_channel_is_denied_without_a_user() -> None:
    assert answer(MEMBER, "presence-test", user=None) == REFUSED


def test_the_answer_for_a_private_channel_is_true() -> None:
    assert answer(True, "private-test") == (200, True)


def test_the_answer_for_a_presence_channel_is_the_member_as_an_object() -> None:
    assert answer(MEMBER, "presence-test") == (
        200,
        {"channel_data": {"user_id": "42", "user_info": {"a": "b", "c": "d"}}},
    )
