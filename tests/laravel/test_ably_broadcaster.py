"""Laravel's AblyBroadcasterTest: what clients of Ably's Pusher adapter are answered."""

from __future__ import annotations

from typing import Any

from broadcaster import BroadcastManager, Member
from tests.laravel.asking import REFUSED, ask

MEMBER = Member(42, {"a": "b", "c": "d"})


def answer(verdict: object, channel: str, *, user: object = 42) -> tuple[int, Any]:
    broadcast = BroadcastManager.from_dict(
        {"driver": "ably", "drivers": {"ably": {"key": "appid.keyid:efgh"}}}
    )
    broadcast.channel("test")(lambda user: verdict)
    return ask(broadcast, channel, user, socket_id="abcd.1234")


def test_a_private_channel_is_joined_where_the_rule_says_true() -> None:
    signature = "70d12333dc84a7daade1c59ab2d7fca09a5c6668367ece30cdc2c1ae3d1b1fda"

    assert answer(True, "private-test") == (200, {"auth": f"appid.keyid:{signature}"})


def test_a_private_channel_is_denied_where_the_rule_says_false() -> None:
    assert answer(False, "private-test") == REFUSED


def test_a_private_channel_is_denied_without_a_user() -> None:
    assert answer(True, "private-test", user=None) == REFUSED


def test_a_presence_channel_is_joined_where_the_rule_says_who() -> None:
    assert answer(MEMBER, "presence-test") == (
        200,
        {
            "auth": "appid.keyid:0a8d38f224b1fc39b781e2475bcd467ad26a43568bfff7c8d9790260e05a3685",
            "channel_data": '{"user_id":"42","user_info":{"a":"b","c":"d"}}',
        },
    )


def test_a_presence_channel_is_denied_where_the_rule_says_nothing() -> None:
    assert answer(None, "presence-test") == REFUSED


def test_a_presence_channel_is_denied_without_a_user() -> None:
    assert answer(MEMBER, "presence-test", user=None) == REFUSED
