from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from broadcaster import DeliveryError, Message, UnencodableData
from broadcaster.drivers.pusher import PusherDriver
from tests.drivers.pusher_peers import ServerPeer, StubPeer, running_server, running_stub
from tests.server.clients import APP, CREDENTIALS, Client, client

COUNTS = ["user_count", "subscription_count"]
ODD_IDS = ["user-1", "a/b", "é ☃", "?#&=+%41 ", "..", ".", "a\\b:c@d,e;f"]

Ask = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[ServerPeer]:
    with running_server(APP) as peer:
        yield peer


@pytest.fixture
def stub() -> Iterator[StubPeer]:
    with running_stub() as peer:
        yield peer


@pytest.fixture(params=["blocking", "in a loop"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call a verb of a driver, or its async twin, and close the driver."""

    def blocking(driver: PusherDriver, verb: str, *arguments: Any, **how: Any) -> Any:
        try:
            return getattr(driver, verb)(*arguments, **how)
        finally:
            driver.close()

    def looping(driver: PusherDriver, verb: str, *arguments: Any, **how: Any) -> Any:
        async def call() -> Any:
            try:
                return await getattr(driver, f"a{verb}")(*arguments, **how)
            finally:
                await driver.aclose()

        return asyncio.run(call())

    return blocking if request.param == "blocking" else looping


@contextmanager
def browser(peer: ServerPeer) -> Iterator[Client]:
    port = peer.audience.listener.socket.socket.getpeername()[1]
    with client(port) as connection:
        yield connection


def sign_in(connection: Client, user_id: str) -> None:
    user_data = json.dumps({"id": user_id})
    auth = CREDENTIALS.user_auth(connection.socket_id, user_data)
    connection.send("pusher:signin", data={"auth": auth, "user_data": user_data})
    assert connection.receive()["event"] == "pusher:signin_success"


# Against our own server.


def test_a_message_can_tell_what_its_channels_are_like(server: ServerPeer, ask: Ask) -> None:
    server.listen("lobby", "presence-room")
    message = Message("ping", ("lobby", "presence-room", "empty"), "{}")

    told = ask(server.driver(), "trigger", message, info=COUNTS)

    assert told == {
        "lobby": {"subscription_count": 2},
        "presence-room": {"subscription_count": 2, "user_count": 2},
        "empty": {"subscription_count": 0},
    }
    assert len(server.received(2)) == 2


def test_what_several_requests_tell_is_told_as_one(server: ServerPeer, ask: Ask) -> None:
    channels = (*(f"room-{n}" for n in range(150)), "private-encrypted-a", "private-encrypted-b")

    told = ask(server.driver(), "trigger", Message("ping", channels, "{}"), info=["subscription_count"])

    assert told == {channel: {"subscription_count": 0} for channel in channels}


def test_a_message_that_asks_nothing_is_told_nothing(server: ServerPeer, ask: Ask) -> None:
    server.listen("lobby")

    assert ask(server.driver(), "trigger", Message("ping", ("lobby",), "{}")) == {}
    assert [message.name for message in server.received(1)] == ["ping"]


def test_the_channels_in_use_are_listed(server: ServerPeer, ask: Ask) -> None:
    server.listen("lobby", "private-a", "presence-room")

    assert ask(server.driver(), "channels") == {"lobby": {}, "private-a": {}, "presence-room": {}}
    assert ask(server.driver(), "channels", prefix="pr") == {"private-a": {}, "presence-room": {}}
    assert ask(server.driver(), "channels", prefix="none") == {}
    assert ask(server.driver(), "channels", prefix="presence-", info=["user_count"]) == {
        "presence-room": {"user_count": 2}
    }


def test_a_question_that_cannot_be_answered_is_refused(server: ServerPeer, ask: Ask) -> None:
    with pytest.raises(DeliveryError, match="filter_by_prefix=presence-") as caught:
        ask(server.driver(), "channels", info="user_count")

    assert (caught.value.status, caught.value.retryable) == (400, False)


def test_one_channel_is_described(server: ServerPeer, ask: Ask) -> None:
    server.listen("presence-a=b@c,d;e.f")

    assert ask(server.driver(), "channel", "presence-a=b@c,d;e.f", info=COUNTS) == {
        "occupied": True,
        "user_count": 2,
        "subscription_count": 2,
    }
    assert ask(server.driver(), "channel", "lobby", info="subscription_count") == {"occupied": False}
    assert ask(server.driver(), "channel", "lobby") == {"occupied": False}


def test_the_users_of_a_presence_channel_are_listed(server: ServerPeer, ask: Ask) -> None:
    server.listen("presence-room")

    assert sorted(ask(server.driver(), "users", "presence-room")) == ["listener", "sender"]
    assert ask(server.driver(), "users", "presence-empty") == []


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_a_user_is_sent_to_wherever_they_are_signed_in(server: ServerPeer, ask: Ask, user_id: str) -> None:
    with browser(server) as tab, browser(server) as other_tab, browser(server) as somebody:
        for connection in (tab, other_tab):
            sign_in(connection, user_id)
            assert "error" not in connection.subscribe(f"#server-to-user-{user_id}")["event"]

        ask(server.driver(), "send_to_user", user_id, "notice", {"text": "☃"})

        for connection in (tab, other_tab):
            frame = connection.receive()
            assert (frame["event"], frame["data"]) == ("notice", '{"text":"☃"}')
        assert somebody.is_alive()
        occupied = ask(server.driver(), "channel", f"#server-to-user-{user_id}", info="subscription_count")
        assert occupied == {"occupied": True, "subscription_count": 2}


def test_what_is_no_json_is_sent_to_nobody(server: ServerPeer, ask: Ask) -> None:
    with pytest.raises(UnencodableData):
        ask(server.driver(), "send_to_user", "user-1", "notice", {"text": object()})


@pytest.mark.parametrize("user_id", ["", "a\x00b"])
def test_a_user_that_cannot_be_is_not_sent_to(server: ServerPeer, ask: Ask, user_id: str) -> None:
    with pytest.raises(DeliveryError, match="a printable user id"):
        ask(server.driver(), "send_to_user", user_id, "notice", {})


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_the_connections_of_a_user_are_closed(server: ServerPeer, ask: Ask, user_id: str) -> None:
    with browser(server) as tab, browser(server) as other_tab, browser(server) as somebody:
        sign_in(tab, user_id)
        sign_in(other_tab, user_id)
        sign_in(somebody, "user-2")

        ask(server.driver(), "terminate_connections", user_id)

        for connection in (tab, other_tab):
            assert connection.receive()["data"]["code"] == 4009
        assert somebody.is_alive()


def test_to_close_the_connections_of_nobody_is_no_error(server: ServerPeer, ask: Ask) -> None:
    ask(server.driver(), "terminate_connections", "user-7")

    assert server.audience.listener.is_alive()


# Against a server that checks every signature, and may be another than ours.


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_a_user_id_is_signed_as_it_is(stub: StubPeer, ask: Ask, user_id: str) -> None:
    ask(stub.driver(), "terminate_connections", user_id)
    ask(stub.driver(), "send_to_user", user_id, "notice", {})

    assert stub.stub.posts[0] == (f"users/{user_id}/terminate_connections", {})
    assert [event.channel for event in stub.stub.events] == [f"#server-to-user-{user_id}"]


def test_questions_reach_their_routes(stub: StubPeer, ask: Ask) -> None:
    stub.stub.state = {
        "channels": {"channels": {"presence-a": {"user_count": 4}, "b": {}}},
        "channels/b": {"occupied": True, "cache": {"data": "{}", "ttl": 60}},
        "channels/presence-a/users": {"users": [{"id": "1"}, {"id": 2}]},
    }

    assert ask(stub.driver(), "channels", prefix="presence-") == {"presence-a": {"user_count": 4}, "b": {}}
    assert ask(stub.driver(), "channel", "b", info=["cache"])["cache"] == {"data": "{}", "ttl": 60}
    assert ask(stub.driver(), "users", "presence-a") == ["1", "2"]


def test_the_words_of_info_may_come_from_anywhere(stub: StubPeer, ask: Ask) -> None:
    for info in ("a,b", ["a", "b"], (word for word in "ab"), {"a": 1, "b": 2}):
        told = ask(stub.driver(), "trigger", Message("ping", ("x",), "{}"), info=info)
        assert told == {"x": {"asked": "a,b"}}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"channels":[]}', {}),
        ('{"channels":{"a":[]}}', {"a": {}}),
        ('{"channels":{"a":null}}', {"a": {}}),
        ('{"channels":null}', {}),
    ],
)
def test_empty_is_empty_whatever_language_a_server_is_written_in(
    stub: StubPeer, ask: Ask, answer: str, told: dict[str, Any]
) -> None:
    stub.answer(200, answer)

    assert ask(stub.driver(), "channels") == told


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("channels", '{"channels":["a"]}'),
        ("channels", '{"channels":7}'),
        ("users", "{}"),
        ("users", '{"users":{"1":{}}}'),
        ("users", '{"users":[1]}'),
        ("users", '{"users":[{"user":1}]}'),
        ("channel", "[]"),
        ("channel", "<html>"),
    ],
)
def test_an_answer_of_another_shape_is_an_error(stub: StubPeer, ask: Ask, verb: str, answer: str) -> None:
    stub.answer(200, answer)

    with pytest.raises(DeliveryError, match="does not speak the Pusher HTTP API") as caught:
        ask(stub.driver(), verb, *(["presence-a"] if verb != "channels" else []))

    assert (caught.value.status, caught.value.retryable) == (200, False)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [("channels", []), ("channel", ["a"]), ("users", ["presence-a"]), ("terminate_connections", ["7"])],
)
def test_what_changes_nothing_when_repeated_is_repeated(
    stub: StubPeer, ask: Ask, verb: str, arguments: list[str]
) -> None:
    stub.stub.state = {"channels/presence-a/users": {"users": []}}
    stub.stub.hang_up()

    ask(stub.driver(), verb, *arguments)

    assert stub.asked() == 2
