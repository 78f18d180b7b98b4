"""Answers to auth requests, byte for byte where Pusher's own pages and SDKs print them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import BroadcastManager, Member, SignIn
from broadcaster.answers import Answer
from broadcaster.auth_requests import AuthRequest
from broadcaster.channels import Kind, kind_of
from broadcaster.signing import Credentials

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
OPTIONS = {
    "app_id": "1",
    "key": KEY,
    "secret": SECRET,
    "encryption_master_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}


def manager() -> BroadcastManager:
    broadcast = BroadcastManager.from_dict({"driver": "pusher", "drivers": {"pusher": OPTIONS}})

    @broadcast.channel("foobar")
    def foobar(user: Any) -> Member:
        return Member(10, {"name": "Mr. Channels"})

    @broadcast.channel("users.{user_id}")
    def own(user: Any, user_id: int) -> bool:
        return bool(user == user_id)

    broadcast.rules.sign_in(SignIn)
    return broadcast


def ask(socket_id: str, *channels: str) -> AuthRequest:
    names = {"channel_name": channels[0]} if len(channels) == 1 else {"channel_name[]": channels}
    return AuthRequest(body=urlencode({"socket_id": socket_id, **names}, doseq=True).encode())


def content(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_a_private_channel_as_pusher_prints_it() -> None:
    answer = manager().answer(ask("1234.1234", "private-foobar"), "ann")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body == (
        b'{"auth":"278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"}'
    )


def test_a_presence_channel() -> None:
    assert content(manager().answer(ask("1234.1234", "presence-foobar"), "ann")) == {
        "auth": f"{KEY}:4c6d8fc42a207ba96a0779844171b0bb819d96ffceef9609f5cce596ab17a800",
        "channel_data": '{"user_id":"10","user_info":{"name":"Mr. Channels"}}',
    }


def test_an_encrypted_channel() -> None:
    assert content(manager().answer(ask("1234.1234", "private-encrypted-foobar"), "ann")) == {
        "auth": f"{KEY}:e6a18892d037c5d5e76a2265df4f086ffc38631605530dfd214aa5bff495f533",
        "shared_secret": "g3Au6SZ+UCU+IMfFsFva0rq+Gi4tzSHR6WCcWZbS9sY=",
    }


def test_a_sign_in_as_pusher_prints_it() -> None:
    assert content(manager().answer(AuthRequest(body=b"socket_id=1234.1234"), 12345, sign_in=True)) == {
        "auth": f"{KEY}:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        "user_data": '{"id":"12345"}',
    }


def test_a_sign_in_with_what_others_may_know_and_whom_to_watch() -> None:
    broadcast = BroadcastManager.from_dict({"driver": "pusher", "drivers": {"pusher": OPTIONS}})
    broadcast.rules.sign_in(lambda user: SignIn(user, {"name": "Ann"}, watchlist=["a", "b"]))

    answer = broadcast.answer(AuthRequest(body=b"socket_id=1234.1234"), "12345", sign_in=True)

    assert content(answer) == {
        "auth": f"{KEY}:b72aa402fbdcaaa961bf8f912b3193d17abe090852057b45a55f40606ac6e550",
        "user_data": '{"id":"12345","user_info":{"name":"Ann"},"watchlist":["a","b"]}',
    }


def test_several_channels_are_answered_each_with_a_status() -> None:
    answer = manager().answer(ask("1234.1234", "private-foobar", "private-x", "a b"), "ann")

    assert answer.status == 200
    assert content(answer) == {
        "private-foobar": {
            "status": 200,
            "data": {"auth": f"{KEY}:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"},
        },
        "private-x": {"status": 403, "data": {"error": "not allowed to join this channel"}},
        "a b": {
            "status": 400,
            "data": {
                "error": "invalid channel name 'a b': ' ' at position 1; "
                "letters, digits and - _ = @ , . ; are allowed"
            },
        },
    }


@pytest.mark.parametrize("channel", ["private-x", "foobar", "private-users.8", "#server-to-user-7"])
def test_a_refusal_is_403_and_does_not_say_why(channel: str) -> None:
    answer = manager().answer(ask("1.2", channel), 7)

    assert (answer.status, content(answer)) == (403, {"error": "not allowed to join this channel"})


def test_nobody_is_refused() -> None:
    broadcast = manager()

    assert broadcast.answer(ask("1.2", "private-foobar"), None).status == 403
    answer = broadcast.answer(AuthRequest(body=b"socket_id=1.2"), None, sign_in=True)
    assert (answer.status, content(answer)) == (403, {"error": "not allowed to sign in"})


@pytest.mark.parametrize(
    "socket_id", ["", "1", "1.2:", ":1.2", "1.2\n:channel", "1.2\n", "a.b", "1.2:private-x"]
)
@pytest.mark.parametrize("sign_in", [False, True])
def test_a_malformed_socket_id_is_400_with_the_reason(socket_id: str, sign_in: bool) -> None:
    answer = manager().answer(ask(socket_id, "private-foobar"), 7, sign_in=sign_in)

    assert answer.status == 400
    expected = "invalid socket id" if socket_id else "socket_id is missing"
    assert content(answer)["error"].startswith(expected)


def test_laravel_echo_server_is_answered_though_it_tells_no_socket_id() -> None:
    broadcast = BroadcastManager.from_dict({"driver": "redis"})
    broadcast.channel("foobar")(lambda user: True)

    answer = broadcast.answer(AuthRequest(body=b"channel_name=private-foobar"), "ann")

    assert (answer.status, content(answer)) == (200, True)


@pytest.mark.parametrize(
    "name", ["", "private-", "private-a b", "private-" + "x" * 10_000, "private-ä", "private-a\n"]
)
def test_a_malformed_channel_name_is_refused(name: str) -> None:
    assert manager().answer(ask("1.2", name), 7).status in ({403} if name == "private-" else {400})


def test_a_request_without_a_channel_is_400() -> None:
    answer = manager().answer(AuthRequest(body=b"socket_id=1.2"), 7)

    assert (answer.status, content(answer)) == (400, {"error": "channel_name is missing"})


def test_a_request_that_cannot_be_read_has_the_status_that_says_why() -> None:
    broadcast = manager()

    for sign_in in (False, True):
        assert (
            broadcast.answer(AuthRequest(content_type="text/plain", body=b"x"), 7, sign_in=sign_in).status
            == 415
        )


async def test_a_coroutine_gets_the_same_answers() -> None:
    broadcast = manager()

    for request in [ask("1.2", "private-foobar"), ask("1.2", "presence-foobar", "private-x"), ask("x", "y")]:
        assert await broadcast.aanswer(request, 7) == broadcast.answer(request, 7)


async def test_an_async_rule_is_for_coroutines() -> None:
    broadcast = manager()

    @broadcast.channel("slow")
    async def slow(user: Any) -> bool:
        await asyncio.sleep(0)
        return True

    assert (await broadcast.aanswer(ask("1.2", "private-slow"), 7)).status == 200
    with pytest.raises(TypeError, match=r"is async: use aauthorize\(\), or make it a plain function"):
        broadcast.answer(ask("1.2", "private-slow"), 7)


def own_answer(number: int) -> dict[str, str]:
    auth = Credentials(KEY, SECRET).channel_auth(f"{number}.{number}", f"private-users.{number}")
    return {"auth": auth}


def test_200_threads_get_each_the_answer_for_their_own_user_and_socket() -> None:
    broadcast, numbers = manager(), range(200)

    def one(number: int) -> Any:
        return content(broadcast.answer(ask(f"{number}.{number}", f"private-users.{number}"), number))

    with ThreadPoolExecutor(200) as threads:
        assert list(threads.map(one, numbers)) == [own_answer(number) for number in numbers]


async def test_200_tasks_get_each_the_answer_for_their_own_user_and_socket() -> None:
    broadcast, numbers = manager(), range(200)

    async def one(number: int) -> Any:
        return content(await broadcast.aanswer(ask(f"{number}.{number}", f"private-users.{number}"), number))

    assert await asyncio.gather(*map(one, numbers)) == [own_answer(number) for number in numbers]


PREFIXES = st.sampled_from(
    ["", "private-", "presence-", "private-encrypted-", "private-private-", "#server-to-user-"]
)
NAMES = st.one_of(
    st.sampled_from(["users.7", "users.8", "users.07", "foobar", "users.7.", "x"]), st.text(max_size=220)
)
SOCKETS = st.one_of(st.just("1.2"), st.text(max_size=30), st.from_regex(r"[0-9]+\.[0-9]+:?.*"))


@settings(max_examples=500)
@given(PREFIXES, NAMES, SOCKETS, st.booleans())
def test_no_request_gets_a_signature_that_it_should_not(
    prefix: str, name: str, socket: str, several: bool
) -> None:
    channel = prefix + name
    channels = [channel, "private-x"] if several else [channel]

    answer = BROADCAST.answer(ask(socket, *channels), 7)

    status, said = answer.status, content(answer)
    if several and status == 200:
        status, said = said[channel]["status"], said[channel].get("data")
    assert status in {200, 400, 403}
    if status == 200:
        assert re.fullmatch(r"[0-9]+\.[0-9]+", socket)
        assert channel.removeprefix(kind_of(channel).value) in {"users.7", "foobar"}
        assert kind_of(channel) in {Kind.PRIVATE, Kind.ENCRYPTED} or name == "foobar"
        signed: Callable[..., str] = Credentials(KEY, SECRET).channel_auth
        assert said["auth"] == signed(socket, channel, said.get("channel_data"))
    else:
        assert set(said) == {"error"}


BROADCAST = manager()
