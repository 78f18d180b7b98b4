from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import nacl.secret
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import AnonymousEvent, BroadcastManager, DeliveryError, EncryptedPrivateChannel, Message
from broadcaster.drivers.pusher import PusherDriver
from broadcaster.drivers.requests import HttpRequest
from broadcaster.server import App
from broadcaster.testing.contracts.drivers import HttpDriverContract, RemoteDriverContract
from tests.drivers.loopback import Request
from tests.drivers.pusher_peers import MASTER_KEY, ServerPeer, StubPeer, running_server, running_stub
from tests.drivers.pusher_stub import Event, PusherStub
from tests.server.clients import APP, client

STUB = {"app_id": "my-app", "key": "the-key", "secret": "the-secret"}
PING = Message("ping", ("lobby",), "{}")


class TestAgainstAServerThatChecksEverySignature(HttpDriverContract):
    @pytest.fixture
    def peer(self) -> Iterator[StubPeer]:
        with running_stub() as peer:
            yield peer


class TestAgainstOurOwnServer(RemoteDriverContract):
    @pytest.fixture
    def peer(self) -> Iterator[ServerPeer]:
        with running_server(APP) as peer:
            yield peer


@pytest.fixture
def stub() -> Iterator[StubPeer]:
    with running_stub() as peer:
        yield peer


@pytest.fixture
def server() -> Iterator[ServerPeer]:
    with running_server(APP) as peer:
        yield peer


def made(**options: Any) -> PusherDriver:
    return PusherDriver(**{**STUB, "encryption_master_key": MASTER_KEY, **options})


def taken(requests: Iterable[HttpRequest]) -> list[Event]:
    """Return what a strict server takes of *requests*; fail when it refuses one."""
    stub = PusherStub(**STUB)
    for request in requests:
        target = "/" + request.url.partition("://")[2].partition("/")[2]
        answer = stub.respond(Request(request.method, target, request.body, request.headers, ("", 0)))
        assert answer.status == 200, answer.body
    return stub.events


def opened(channel: str, data: str) -> str:
    """Decrypt as a browser does that has the secret of the channel."""
    secret = hashlib.sha256(channel.encode() + base64.b64decode(MASTER_KEY)).digest()
    sealed = {name: base64.b64decode(text) for name, text in json.loads(data).items()}
    return nacl.secret.SecretBox(secret).decrypt(sealed["ciphertext"], sealed["nonce"]).decode()


def bodies(requests: Iterable[HttpRequest]) -> list[Any]:
    return [json.loads(request.body) for request in requests]


def refused(deliver: Callable[[], object]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        deliver()
    assert not caught.value.retryable
    return caught.value


# One message.


def test_the_data_is_sent_as_it_is() -> None:
    data = '{"b":1,  "a":"é ☃ \\u00e9","n":1.0}'

    [event] = taken(made().requests(Message("ping", ("lobby",), data, except_socket="1.2", id="abc")))

    assert event == Event("ping", "lobby", data, "1.2", "abc")


def test_a_hundred_channels_take_one_request() -> None:
    channels = tuple(f"room-{n}" for n in range(201))

    sent = bodies(made().requests(Message("ping", channels, "{}")))

    assert [len(body["channels"]) for body in sent] == [100, 100, 1]
    assert [channel for body in sent for channel in body["channels"]] == list(channels)


def test_a_channel_that_is_named_twice_gets_the_message_once() -> None:
    message = Message("ping", ("a", "b", "a"), "{}")

    assert [event.channel for event in taken(made().requests(message))] == ["a", "b"]
    assert [event.channel for event in taken(made().requests_for_many([message]))] == ["a", "b"]


def test_a_message_for_nobody_takes_no_request() -> None:
    nobody = Message("ping", (), "{}")

    assert made().requests(nobody) == []
    assert list(made().requests_for_many([nobody, nobody])) == []


@pytest.mark.parametrize("socket", ["abcDEF123_-", "12", "1.2.3", "\u0661.2", "", "1.2\n"])
def test_a_socket_of_another_server_counts_as_none(socket: str) -> None:
    message = replace(PING, except_socket=socket)

    assert "socket_id" not in bodies(made().requests(message))[0]
    assert "socket_id" not in bodies(made().requests_for_many([message]))[0]["batch"][0]


def test_the_id_of_the_message_travels_along() -> None:
    message = Message("ping", tuple(f"room-{n}" for n in range(101)), "{}", id="abc")

    events = taken(made().requests(message))

    assert {event.message_id for event in events} == {"abc"}
    assert len(events) == 101


@pytest.mark.parametrize("message_id", ["7,8", "é ☃", "a\r\nX-Evil: 1", "100%"])
def test_an_id_of_any_text_fits_into_a_header(message_id: str, stub: StubPeer) -> None:
    message = replace(PING, id=message_id)

    with_driver(stub.driver(), lambda driver: driver.deliver_many([message, PING]))

    [first, second] = [event.message_id for event in stub.stub.events]
    assert (unquote(first or ""), second) == (message_id, PING.id)


# Several messages.


def test_a_batch_is_sent_in_tens_with_the_id_of_each_event() -> None:
    messages = [Message("ping", ("a", "b"), f'{{"n":{n}}}') for n in range(13)]

    sent = list(made().requests_for_many(messages))

    assert [len(body["batch"]) for body in bodies(sent)] == [10, 10, 6]
    assert [request.completes for request in sent] == [5, 10, 13]
    assert [(event.message_id, event.channel) for event in taken(sent)] == [
        (message.id, channel) for message in messages for channel in "ab"
    ]


def test_a_long_batch_is_signed_as_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()

    requests = iter(made().requests_for_many([PING] * 11))
    times = []
    for later in (0.0, 700.0):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        times.append(taken([next(requests)]))

    assert [len(events) for events in times] == [10, 1]


def test_nothing_of_the_callers_is_changed() -> None:
    messages = [Message("ping", ("a", "private-encrypted-b"), '{"n":1}', except_socket="nonsense")]
    info = ["user_count"]
    before = deepcopy((messages, info))
    driver = made()

    list(driver.requests_for_many(messages))
    driver.requests(messages[0])

    assert (messages, info) == before


CHANNELS = st.sampled_from([*"abc", "private-a", "presence-b", "private-encrypted-c", "private-encrypted-d"])
MESSAGES = st.lists(
    st.builds(
        Message,
        name=st.text(min_size=1, max_size=200).filter(lambda name: not name.startswith("pusher")),
        channels=st.one_of(
            st.lists(CHANNELS, max_size=7, unique=True).map(tuple),
            st.integers(1, 230).map(lambda count: tuple(f"room-{n}" for n in range(count))),
        ),
        data=st.text(max_size=50).map(json.dumps) | st.text(max_size=50),
        except_socket=st.none() | st.just("1.2"),
    ),
    max_size=15,
)


@given(MESSAGES)
def test_whatever_is_sent_comes_once_in_order_and_within_all_limits(messages: list[Message]) -> None:
    driver = made()
    expected = by_channel(
        (channel, (m.id, m.name, m.data, m.except_socket)) for m in messages for channel in m.channels
    )

    one_by_one = taken(request for message in messages for request in driver.requests(message))
    at_once = taken(driver.requests_for_many(messages))

    assert by_channel((event.channel, plain(event)) for event in one_by_one) == expected
    assert by_channel((event.channel, plain(event)) for event in at_once) == expected


def plain(event: Event) -> tuple[Any, ...]:
    sealed = event.channel.startswith("private-encrypted-")
    data = opened(event.channel, event.data) if sealed else event.data
    return (event.message_id, event.name, data, event.socket_id)


def by_channel(events: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for channel, event in events:
        found.setdefault(channel, []).append(event)
    return found


# Limits: nothing of what breaks one is sent.


def both_ways(driver: PusherDriver, message: Message) -> Sequence[Callable[[], object]]:
    return [lambda: driver.requests(message), lambda: driver.requests_for_many([PING, message])]


@pytest.mark.parametrize("fill", ["x", "é", "☃", "😀"])
def test_data_may_have_ten_kilobytes_to_the_byte(fill: str) -> None:
    size = len(fill.encode())
    fits = '"' + fill * (10_238 // size) + "x" * (10_238 % size) + '"'
    message = Message("report", ("lobby",), fits)

    assert [event.data for event in taken(made().requests(message))] == [fits]
    for deliver in both_ways(made(), replace(message, data=fits + " ")):
        error = refused(deliver)
        assert error.status == 413
        assert "the data of 'report' has 10241 bytes, 10240 are allowed" in str(error)
        assert "PUSHER_MAX_DATA_SIZE" in str(error)


def test_the_limit_of_data_can_be_set() -> None:
    message = Message("report", ("lobby",), "x" * 40_000)

    [body] = bodies(made(max_data_size=40_000).requests(message))

    assert body["data"] == message.data
    assert "39999 are allowed" in str(refused(lambda: made(max_data_size=39_999).requests(message)))


def test_encrypted_data_counts_as_it_is_sent() -> None:
    channels = ("private-encrypted-a",)
    # 16 bytes of tag, all in Base64, 60 bytes of JSON and nonce around it.
    fits, too_long = (Message("report", channels, "x" * size) for size in (7_619, 7_620))

    [body] = bodies(made().requests(fits))

    assert len(body["data"]) == 10_240
    for deliver in both_ways(made(), too_long):
        error = refused(deliver)
        assert error.status == 413
        assert "the encrypted data of 'report' has 10244 bytes, 10240 are allowed" in str(error)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message("x" * 201, ("a",), "{}"), "has 201 characters, 200 are allowed"),
        (Message("", ("a",), "{}"), "an event needs a name"),
        (Message("pusher:ping", ("a",), "{}"), "'pusher:ping' has a prefix that is reserved"),
        (Message("pusher_internal:x", ("a",), "{}"), "prefix that is reserved"),
        (Message("ping", ("a", "room 7"), "{}"), "invalid channel name 'room 7': ' ' at position 4"),
        (Message("ping", ("a", "x" * 201), "{}"), "it has 201 characters, 200 are allowed"),
        (Message("ping", ("a",), '"\ud800"'), "a lone surrogate"),
        (Message("ping", ("private-encrypted-a",), '"\ud800"'), "a lone surrogate"),
    ],
)
def test_what_every_server_refuses_is_not_sent(message: Message, said: str) -> None:
    for deliver in both_ways(made(), message):
        error = refused(deliver)
        assert (error.status, error.driver) == (400, "pusher")
        assert said in str(error)


@pytest.mark.parametrize("name", ["pusher-notification", "client-typing", "x" * 200, "☃" * 200])
def test_a_name_that_some_servers_take_is_sent(name: str) -> None:
    assert [event.name for event in taken(made().requests(replace(PING, name=name)))] == [name]


@pytest.mark.parametrize("position", [0, 10, 24])
def test_one_bad_message_keeps_a_whole_batch_from_being_sent(stub: StubPeer, position: int) -> None:
    messages = [PING] * 25
    messages[position] = replace(PING, data="x" * 10_241)

    error = refused(lambda: with_driver(stub.driver(), lambda driver: driver.deliver_many(messages)))

    assert error.status == 413
    assert stub.asked() == 0


# Encrypted channels.


def test_an_encrypted_channel_gets_a_request_of_its_own() -> None:
    message = Message("ping", ("a", "private-encrypted-x", "b", "private-encrypted-y"), '{"n":"☃"}')

    sent = bodies(made().requests(message))

    assert [body["channels"] for body in sent] == [
        ["a", "b"],
        ["private-encrypted-x"],
        ["private-encrypted-y"],
    ]
    assert [opened(body["channels"][0], body["data"]) for body in sent[1:]] == ['{"n":"☃"}'] * 2
    assert "☃" not in sent[1]["data"]


@pytest.mark.parametrize("name", ["private-encrypted", "test-private-encrypted-a", "Private-encrypted-a"])
def test_a_channel_that_only_looks_encrypted_is_not(name: str) -> None:
    assert [event.data for event in taken(made().requests(Message("ping", (name,), "{}")))] == ["{}"]


def test_without_a_key_nothing_is_sent_in_the_clear() -> None:
    message = Message("ping", ("a", "private-encrypted-x"), "{}")

    for deliver in both_ways(made(encryption_master_key=None), message):
        error = refused(deliver)
        assert "'private-encrypted-x': set PUSHER_ENCRYPTION_MASTER_KEY" in str(error)
        assert error.status == 400


def test_a_subscriber_of_our_server_can_read_what_was_encrypted(server: ServerPeer) -> None:
    with client(server.audience.listener.socket.socket.getpeername()[1]) as browser:
        browser.subscribe("private-encrypted-safe")
        with BroadcastManager() as broadcast:
            broadcast.extend("log", server.driver)
            broadcast.send(AnonymousEvent("hello", on=EncryptedPrivateChannel("safe"), data={"a": "☃"}))
            broadcast.send_many([AnonymousEvent("again", on=EncryptedPrivateChannel("safe"), data={"b": 1})])
        first, second = browser.receive(), browser.receive()

    assert first["event"] == "hello"
    assert opened("private-encrypted-safe", first["data"]) == '{"a":"☃"}'
    assert opened("private-encrypted-safe", second["data"]) == '{"b":1}'


# Retries.


def with_driver(driver: PusherDriver, use: Callable[[PusherDriver], object]) -> None:
    try:
        use(driver)
    finally:
        driver.close()


def test_a_request_that_may_have_arrived_is_not_sent_again(stub: StubPeer) -> None:
    stub.stub.hang_up()

    with pytest.raises(DeliveryError, match="no answer") as caught:
        with_driver(stub.driver(), lambda driver: driver.deliver(PING))

    assert caught.value.retryable
    assert stub.asked() == 1


def test_it_is_when_the_server_drops_repeats(stub: StubPeer) -> None:
    stub.stub.hang_up()
    driver = stub.driver(idempotent=True)

    with_driver(driver, lambda driver: driver.deliver(PING))

    assert stub.asked() == 2
    assert len({request.headers["X-Idempotency-Key"] for request in stub.stub.requests}) == 1


def test_our_server_shows_a_message_once_however_often_it_comes(server: ServerPeer) -> None:
    first, second = (Message("tick", ("lobby", "hall"), f'{{"n":{n}}}') for n in range(2))
    server.listen("lobby", "hall")
    driver = server.driver()

    for _ in range(3):
        driver.deliver(first)
        driver.deliver_many([first, second])
    driver.close()

    heard = [(event.channel, event.data["n"]) for event in server.received(4)]
    assert sorted(heard) == [("hall", 0), ("hall", 1), ("lobby", 0), ("lobby", 1)]


# What the server says.


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "PUSHER_APP_SECRET"),
        (403, "its dashboard"),
        (404, "PUSHER_APP_ID"),
        (413, "PUSHER_MAX_DATA_SIZE"),
    ],
)
def test_a_refusal_says_what_would_help(stub: StubPeer, status: int, remedy: str) -> None:
    stub.answer(status, "because of the weather")

    error = refused(lambda: with_driver(stub.driver(), lambda driver: driver.deliver(PING)))

    assert f"the server answered {status}: because of the weather; " in str(error)
    assert remedy in str(error)


def test_a_wrong_secret_is_told_without_showing_it(stub: StubPeer) -> None:
    driver = stub.driver(secret="not-the-secret")

    error = refused(lambda: with_driver(driver, lambda driver: driver.deliver(PING)))

    assert error.status == 401
    assert "Invalid signature" in str(error)
    assert "check PUSHER_APP_KEY, PUSHER_APP_SECRET" in str(error)
    assert "not-the-secret" not in f"{error!r} {driver!r} {driver.requests(PING)!r}"


@pytest.mark.parametrize("body", [b"<html>Welcome to our Wi-Fi</html>", b"", b"[]", b"OK", b'"{}"', b"\xff"])
def test_an_answer_of_something_else_is_an_error(stub: StubPeer, body: bytes) -> None:
    stub.stub.answer(200, body)

    error = refused(lambda: with_driver(stub.driver(), lambda driver: driver.deliver(PING)))

    assert error.status == 200
    assert "does not speak the Pusher HTTP API; check PUSHER_HOST" in str(error)


@pytest.mark.parametrize("body", [b"{}", b'{"ok":true}', b' {"batch": {}}\n', b'{"channels":{}}'])
def test_an_answer_of_any_server_of_the_protocol_will_do(stub: StubPeer, body: bytes) -> None:
    stub.stub.answer(200, body)
    stub.stub.answer(202, body)

    with_driver(stub.driver(), lambda driver: driver.deliver_many([PING] * 20))

    assert stub.asked() == 2


def test_an_application_is_known_by_any_text() -> None:
    with running_server(App("my app/ü", APP.key, APP.secret)) as peer:
        peer.listen("lobby")
        with_driver(peer.driver(), lambda driver: driver.deliver(PING))

        assert [event.name for event in peer.received(1)] == ["ping"]


def test_everything_can_be_said_by_variables(monkeypatch: pytest.MonkeyPatch, stub: StubPeer) -> None:
    variables = {
        "BROADCAST_DRIVER": "pusher",
        "PUSHER_APP_ID": stub.options["app_id"],
        "PUSHER_APP_KEY": stub.options["key"],
        "PUSHER_APP_SECRET": stub.options["secret"],
        "PUSHER_HOST": "127.0.0.1",
        "PUSHER_PORT": str(stub.port),
        "PUSHER_SCHEME": "http",
        "PUSHER_PATH": "realtime",
        "PUSHER_APP_CLUSTER": "mt1",
        "PUSHER_ENCRYPTION_MASTER_KEY": MASTER_KEY,
        "PUSHER_MAX_DATA_SIZE": "30",
        "PUSHER_IDEMPOTENT": "true",
        "PUSHER_CONNECT_TIMEOUT": "1.5",
        "PUSHER_READ_TIMEOUT": "2",
        "PUSHER_RETRIES": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stub.stub.hang_up()

    with BroadcastManager.from_env() as broadcast:
        broadcast.send(AnonymousEvent("hello", on="lobby", data={"a": "x" * 22}))
        with pytest.raises(DeliveryError, match="31 bytes, 30 are allowed"):
            broadcast.send(AnonymousEvent("hello", on="lobby", data={"a": "x" * 23}))

    assert [event.name for event in stub.stub.events] == ["hello"]
