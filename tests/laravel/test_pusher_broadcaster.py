"""Laravel's PusherBroadcasterTest: what Pusher's clients are answered."""

from __future__ import annotations

import json
from typing import Any

from pusher import Pusher

from broadcaster import BroadcastManager, Member, SignIn
from broadcaster.auth_requests import AuthRequest
from tests.laravel.asking import REFUSED, ask

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
SOCKET = "1234.1234"
MEMBER = Member(42, {"a": "b", "c": "d"})


def broadcast_that_says(verdict: object) -> BroadcastManager:
    options = {"app_id": "1", "key": KEY, "secret": SECRET}
    broadcast = BroadcastManager.from_dict({"driver": "pusher", "drivers": {"pusher": options}})
    broadcast.channel("test")(lambda user: verdict)
    return broadcast


def answer(verdict: object, channel: str, *, user: object = 42) -> tuple[int, Any]:
    return ask(broadcast_that_says(verdict), channel, user, socket_id=SOCKET)


def test_a_private_channel_is_joined_where_the_rule_says_true() -> None:
    status, content = answer(True, "private-test")

    assert (status, list(content)) == (200, ["auth"])


def test_a_private_channel_is_denied_where_the_rule_says_false() -> None:
    assert answer(False, "private-test") == REFUSED


def test_a_private_channel_is_denied_without_a_user() -> None:
    assert answer(True, "private-test", user=None) == REFUSED


def test_a_presence_channel_is_joined_where_the_rule_says_who() -> None:
    status, content = answer(MEMBER, "presence-test")

    assert (status, list(content)) == (200, ["auth", "channel_data"])


def test_a_presence_channel_is_denied_where_the_rule_says_nothing() -> None:
    assert answer(None, "presence-test") == REFUSED


def test_a_presence_channel_is_denied_without_a_user() -> None:
    assert answer(MEMBER, "presence-test", user=None) == REFUSED


def test_the_answer_for_a_private_channel_is_what_pushers_sdk_signs() -> None:
    sdk = Pusher(app_id="1", key=KEY, secret=SECRET)

    assert answer(True, "private-test") == (200, sdk.authenticate("private-test", SOCKET))


def test_the_answer_for_a_presence_channel_is_signed_with_its_channel_data() -> None:
    _, content = answer(MEMBER, "presence-test")

    assert content == {
        "auth": f"{KEY}:393586f0be2e9b69962c2f24306e1241259574ed7ca537b924923d5b91bfa4f2",
        "channel_data": '{"user_id":"42","user_info":{"a":"b","c":"d"}}',
    }


def test_a_user_is_authenticated_as_pushers_pages_print_it() -> None:
    broadcast = broadcast_that_says(True)
    broadcast.rules.sign_in(SignIn)

    answered = broadcast.answer(AuthRequest(body=b"socket_id=1234.1234"), "12345", sign_in=True)

    assert json.loads(answered.body) == {
        "auth": f"{KEY}:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        "user_data": '{"id":"12345"}',
    }
