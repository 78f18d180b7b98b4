from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

import pytest

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    ConfigurationError,
    DeliveryError,
    InvalidChannelName,
    Message,
    PresenceChannel,
    PrivateChannel,
)
from broadcaster.drivers.ably import AblyDriver
from broadcaster.drivers.base import Driver
from broadcaster.testing.contracts.drivers import HttpDriverContract, Received
from tests.drivers.ably_stub import KEY, AblyStub, serving_ably
from tests.drivers.proxy import Proxy

# As the documentation of Ably's Pusher adapter has them.
NAMES = {"private:": "private-", "presence:": "presence-", "public:": ""}

PING = Message("ping", ("lobby",), '{"n":1}')


@pytest.fixture
def ably() -> Iterator[AblyStub]:
    with serving_ably() as stub:
        yield stub
        assert {asked.protocol for asked in stub.asked} <= {"http/1.1", None}


class AblyPeer:
    """The stub behind a proxy, and browsers that connect with one kind of client."""

    secrets = (KEY, KEY.partition(":")[2], base64.b64encode(KEY.encode()).decode())

    def __init__(self, stub: AblyStub, proxy: Proxy, clients: Literal["pusher", "ably"]) -> None:
        self._stub = stub
        self._proxy = proxy
        self._clients = clients
        stub.connections["a!connection-key"] = "42"
        self.socket_id = "a!connection-key"
        if clients == "ably":
            self.socket_id = json_socket_id('{"connectionKey":"a!connection-key","clientId":"42"}')

    def driver(self, *, timeout: float | None = None, retries: int | None = None) -> Driver:
        options: dict[str, Any] = {"connect_timeout": timeout, "read_timeout": timeout, "retries": retries}
        given = {name: value for name, value in options.items() if value is not None}
        return AblyDriver(
            key=KEY, clients=self._clients, endpoint="127.0.0.1", port=self._proxy.port, **given
        )

    def listen(self, *channels: str) -> None:
        pass

    def received(self, count: int) -> list[Received]:
        arrived = []
        for message in self._stub.wait_for(count):
            namespace = next(namespace for namespace in NAMES if message.channel.startswith(namespace))
            channel = NAMES[namespace] + message.channel.removeprefix(namespace)
            data = message.data
            if self._clients == "pusher" and isinstance(data, dict):
                data = dict(data)
                assert data.pop("socket") == message.sender
            left_out = self.socket_id if message.sender == "a!connection-key" else None
            arrived.append(Received(message.name, channel, data, left_out))
        return arrived

    def stop(self) -> None:
        self._proxy.stop()

    def start(self) -> None:
        self._proxy.start()

    def stall(self) -> None:
        self._proxy.stall()

    def resume(self) -> None:
        self._proxy.resume()

    def garble(self) -> None:
        self._proxy.garble()

    def answer(self, status: int, body: str = "", *, retry_after: str | None = None) -> None:
        self._stub.refuse(status, status * 100, body, retry_after=retry_after)

    def asked(self) -> int:
        return len(self._stub.asked)


def json_socket_id(text: str) -> str:
    """Return what a page sends as `X-Socket-ID` that connected with Ably's own client."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class AblyContract(HttpDriverContract):
    clients: ClassVar[Literal["pusher", "ably"]]

    @pytest.fixture
    def peer(self, ably: AblyStub) -> Iterator[AblyPeer]:
        with Proxy(ably.port) as proxy:
            yield AblyPeer(ably, proxy, self.clients)


class TestWithPusherClients(AblyContract):
    clients = "pusher"


class TestWithAblyClients(AblyContract):
    clients = "ably"


Make = Callable[..., AblyDriver]
Deliver = Callable[..., None]


@pytest.fixture
def make(ably: AblyStub) -> Iterator[Make]:
    made: list[AblyDriver] = []

    def make(**options: Any) -> AblyDriver:
        where: dict[str, Any] = {"key": KEY, "endpoint": "127.0.0.1", "port": ably.port}
        made.append(AblyDriver(**where | options))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


@pytest.fixture(params=["blocking", "in a loop"])
def deliver(request: pytest.FixtureRequest) -> Deliver:
    def blocking(driver: Driver, *messages: Message) -> None:
        driver.deliver_many(messages) if len(messages) > 1 else driver.deliver(messages[0])

    def looping(driver: Driver, *messages: Message) -> None:
        asyncio.run(driver.adeliver_many(messages) if len(messages) > 1 else driver.adeliver(messages[0]))

    return blocking if request.param == "blocking" else looping


# Names and connections.


@pytest.mark.parametrize(
    ("clients", "channel", "name"),
    [
        ("pusher", "orders.7", "public:orders.7"),
        ("pusher", "private-orders.7", "private:orders.7"),
        ("pusher", "presence-room", "presence:room"),
        ("pusher", "foo;bar", "public:foo:bar"),
        ("pusher", "-a_Z=@,.9", "public:-a_Z=@,.9"),
        ("ably", "orders.7", "public:orders.7"),
        ("ably", "private-orders.7", "private:orders.7"),
        ("ably", "presence-room", "presence:room"),
        ("ably", "foo;bar=@,.", "public:foo;bar=@,."),
        ("ably", "..", "public:.."),
    ],
)
def test_subscribers_find_the_channel_by_the_name_that_their_clients_use(
    clients: str, channel: str, name: str, ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    driver = make(clients=clients)

    deliver(driver, Message("ping", (channel,), "{}"))
    deliver(driver, *[Message("ping", (channel, "other"), "{}")] * 2)

    assert {message.channel for message in ably.published} == {name, "public:other"}


def test_clients_of_the_adapter_get_the_socket_that_was_left_out_with_the_data(
    ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    ably.connections["a!key"] = None

    for data in ('{"n":1}', " { } ", '{"socket":"mine"}', "[1]", '"{}"'):
        deliver(make(clients="pusher"), Message("ping", ("lobby",), data, except_socket="a!key"))

    left_out = [{"socket": "a!key", "n": 1}, {"socket": "a!key"}, {"socket": "a!key"}, [1], "{}"]
    assert [message.data for message in ably.published] == left_out
    assert {message.sender for message in ably.published} == {"a!key"}


def test_native_clients_are_told_who_the_sender_was(ably: AblyStub, make: Make, deliver: Deliver) -> None:
    ably.connections |= {"a!key": "42", "b!key": None}
    driver = make(clients="ably")

    known = json_socket_id('{"connectionKey":"a!key","clientId":"42"}')
    deliver(driver, Message("ping", ("lobby",), '{"n":1}', except_socket=known))
    anonymous = json_socket_id('{"connectionKey":"b!key","clientId":null}')
    deliver(driver, Message("ping", ("lobby",), '{"n":2}', except_socket=anonymous))

    told = [(message.data, message.sender, message.client_id) for message in ably.published]
    assert told == [({"n": 1}, "a!key", "42"), ({"n": 2}, "b!key", None)]


@pytest.mark.parametrize("socket_id", ["12.34", "%%%", json_socket_id("[1]"), json_socket_id("{")])
def test_a_socket_id_that_makes_no_sense_keeps_no_message_from_anybody(
    socket_id: str, ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    for clients in ("pusher", "ably"):
        deliver(make(clients=clients), Message("ping", ("lobby",), '{"n":1}', except_socket=socket_id))

    assert [message.sender for message in ably.published] == [None, None]


def test_a_connection_that_ably_does_not_know_keeps_no_message_from_anybody(
    ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    ably.connections |= {"a!key": "42"}
    forged = json_socket_id('{"connectionKey":"a!key","clientId":"somebody else"}')
    over = json_socket_id('{"connectionKey":"over","clientId":"42"}')
    driver = make(clients="ably")

    for left_out in (forged, over):
        deliver(driver, Message("ping", ("lobby",), '{"n":1}', except_socket=left_out))
        deliver(driver, Message("ping", ("a", "b"), '{"n":2}', except_socket=left_out))

    channels = [message.channel for message in ably.published]
    assert channels == ["public:lobby", "public:a", "public:b"] * 2
    assert {(message.sender, message.client_id) for message in ably.published} == {(None, None)}


@pytest.mark.parametrize("flat", [True, False])
def test_one_unknown_connection_does_not_repeat_the_rest_of_a_batch(
    flat: bool, ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    ably.flat_batches = flat
    ably.connections["a!key"] = None
    messages = [
        Message("ping", ("lobby",), '{"n":1}', except_socket="a!key"),
        Message("ping", ("lobby",), '{"n":2}', except_socket="over"),
        Message("ping", ("lobby",), '{"n":3}'),
    ]

    deliver(make(), *messages)

    assert sorted(message.data["n"] for message in ably.published) == [1, 2, 3]
    assert {message.data["n"]: message.sender for message in ably.published} == {1: "a!key", 2: None, 3: None}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message("ping", ("lobby", "private-encrypted-a"), "{}"), "'private-encrypted-a' in the clear"),
        (Message("ping", ("#server-to-user-7",), "{}"), "Ably has no channels of users"),
        (Message("ping", ("a/b",), "{}"), "'/' at position 1"),
        (Message("ping \ud800", ("lobby",), "{}"), "lone surrogate"),
        (Message("ping", ("lobby",), '{"a":"\ud800"}'), "lone surrogate"),
    ],
)
def test_what_ably_cannot_carry_is_refused_before_anything_is_sent(
    message: Message, reason: str, ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    with pytest.raises(DeliveryError, match=reason) as one:
        deliver(make(), message)
    with pytest.raises(DeliveryError, match=reason):
        deliver(make(), PING, message)

    assert not one.value.retryable
    assert ably.asked == []


# Repeats.


def test_a_message_whose_answer_was_lost_appears_once(ably: AblyStub, make: Make, deliver: Deliver) -> None:
    driver = make(retries=1)
    ably.lose_an_answer()
    deliver(driver, PING)
    ably.lose_an_answer()
    deliver(driver, *[Message("tick", ("lobby", "other"), "{}")] * 2)

    assert len(ably.asked) == 4
    assert [message.name for message in ably.published] == ["ping", "tick", "tick"]


def test_a_message_that_is_sent_anew_in_other_company_appears_once(ably: AblyStub, make: Make) -> None:
    driver = make()
    messages = [Message("tick", ("lobby",), f'{{"n":{n}}}') for n in range(5)]

    driver.deliver_many(messages)
    driver.deliver_many(messages[2:])
    driver.deliver(messages[4])

    assert [message.data["n"] for message in ably.published] == list(range(5))


def test_messages_with_the_same_content_all_appear(ably: AblyStub, make: Make, deliver: Deliver) -> None:
    deliver(make(), *[Message("ping", ("lobby",), "{}") for _ in range(3)])

    assert len(ably.published) == 3


def test_a_driver_that_is_closed_while_threads_send_loses_nothing(ably: AblyStub, make: Make) -> None:
    driver = make(retries=5)
    messages = [Message("tick", ("lobby",), f'{{"n":{n}}}') for n in range(60)]
    finished = threading.Event()

    def close_all_the_time() -> None:
        while not finished.wait(0.005):
            driver.close()

    with ThreadPoolExecutor(5) as threads:
        closing = threads.submit(close_all_the_time)
        for sent in [threads.submit(driver.deliver, message) for message in messages]:
            sent.result(20)
        finished.set()
        closing.result(20)

    assert sorted(message.data["n"] for message in ably.published) == list(range(60))


# Many.


def test_a_batch_takes_few_requests(ably: AblyStub, make: Make, deliver: Deliver) -> None:
    messages = [Message("tick", (f"room.{n % 7}", "lobby"), f'{{"n":{n}}}') for n in range(250)]

    deliver(make(), *messages)

    assert len(ably.asked) == 3
    assert [m.data["n"] for m in ably.published if m.channel == "public:lobby"] == list(range(250))


def test_large_messages_share_no_request_that_would_be_too_large(ably: AblyStub, make: Make) -> None:
    messages = [
        Message("tick", ("lobby",), json.dumps({"text": "☃" * 20_000}, ensure_ascii=False)) for _ in range(60)
    ]

    make().deliver_many(messages)

    assert len(ably.published) == 60
    assert 2 <= len(ably.asked) <= 5


# Refusals.


def test_a_batch_that_fails_in_part_names_the_channels(ably: AblyStub, make: Make, deliver: Deliver) -> None:
    ably.denied = {
        "private:a": (401, 40160, "Unable to perform channel operation"),
        "private:b": (404, 40400, "No such application"),
    }
    message = Message("ping", ("lobby", "private-a", "private-b"), "{}")

    for ably.flat_batches in (True, False):
        with pytest.raises(DeliveryError, match="2 of 3 publications failed") as caught:
            deliver(make(), message)

        assert "'private:a' (40160 Unable to perform channel operation)" in str(caught.value)
        assert "'private:b' (40400 No such application)" in str(caught.value)
        assert not caught.value.retryable
    assert [message.channel for message in ably.published] == ["public:lobby"]


def test_a_batch_that_fails_in_part_for_the_moment_is_tried_again(
    ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    ably.denied = {"private:a": (429, 42911, "Rate limit exceeded")}
    message = Message("ping", ("lobby", "private-a"), "{}")

    with pytest.raises(DeliveryError, match=r"42911 Rate limit exceeded.*the limit is that") as caught:
        deliver(make(retries=0), message)
    ably.denied = {}
    deliver(make(retries=0), message)

    assert (caught.value.retryable, caught.value.status) == (True, 429)
    assert [message.channel for message in ably.published] == ["public:lobby", "private:a"]


def test_a_key_that_ably_does_not_know_is_told_without_showing_it(make: Make, deliver: Deliver) -> None:
    with pytest.raises(DeliveryError, match="40101 Invalid key in request; compare ABLY_KEY") as caught:
        deliver(make(key="xVLyHw.abcdef:another-secret"), PING)

    assert (caught.value.status, caught.value.retryable) == (401, False)
    assert "secret" not in str(caught.value)


def test_a_message_that_is_too_large_is_told(make: Make, deliver: Deliver) -> None:
    with pytest.raises(DeliveryError, match=r"40009 .*; send less") as caught:
        deliver(make(), Message("ping", ("lobby",), json.dumps({"text": "x" * 70_000})))

    assert (caught.value.status, caught.value.retryable) == (400, False)


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (403, False), (407, False), (429, True), (502, True)]
)
def test_what_something_on_the_way_answers_is_told(
    status: int, retryable: bool, ably: AblyStub, make: Make, deliver: Deliver
) -> None:
    ably.interpose(status, "<h1>Maintenance</h1>")

    with pytest.raises(DeliveryError, match=f"answered {status}: <h1>Maintenance</h1>") as caught:
        deliver(make(retries=0), PING)

    assert (caught.value.status, caught.value.retryable) == (status, retryable)


def test_a_page_that_says_ok_is_not_ablys_answer(ably: AblyStub, make: Make, deliver: Deliver) -> None:
    ably.interpose(200, "<h1>Log in to this network</h1>")

    with pytest.raises(DeliveryError, match="not as Ably does") as caught:
        deliver(make(), PING)

    assert caught.value.status == 200


# Hosts.

HOSTS = ["main.realtime.ably.net", *(f"main.{letter}.fallback.ably-realtime.com" for letter in "abcde")]


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[AblyStub]:
    """Run a stub that all of Ably's host names lead to."""
    lookup = socket.getaddrinfo

    def leading_here(host: Any, *arguments: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return lookup("127.0.0.1" if name in HOSTS else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", leading_here)
    with serving_ably(*HOSTS) as stub:
        yield stub


def test_when_a_host_of_ablys_is_down_another_one_takes_the_message(
    everywhere: AblyStub, deliver: Deliver
) -> None:
    everywhere.interpose(503, "<h1>Unavailable</h1>")
    driver = AblyDriver(key=KEY, port=everywhere.port)

    deliver(driver, PING)
    driver.close()

    first, second = [asked.headers["Host"].partition(":")[0] for asked in everywhere.asked]
    assert first == HOSTS[0]
    assert second in HOSTS[1:]
    assert len(everywhere.published) == 1


def test_without_retries_no_other_host_is_asked(everywhere: AblyStub, deliver: Deliver) -> None:
    everywhere.interpose(503, "<h1>Unavailable</h1>")
    driver = AblyDriver(key=KEY, port=everywhere.port, retries=0)

    with pytest.raises(DeliveryError, match="answered 503"):
        deliver(driver, PING)
    driver.close()

    assert [asked.headers["Host"].partition(":")[0] for asked in everywhere.asked] == HOSTS[:1]


# Options.


@pytest.mark.parametrize("key", ["", "a.b", "a:hush", "a.b:", "a.b:hush:more", "a.b: hush", ".b:hush"])
def test_what_is_no_api_key_is_told_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="ABLY_KEY is no API key") as caught:
        AblyDriver(key=key)

    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("endpoint", ["https://example.org", "example.org/path", "", "a b", "::1"])
def test_an_endpoint_is_a_name(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="ABLY_ENDPOINT"):
        AblyDriver(key=KEY, endpoint=endpoint)


def test_unknown_clients_are_told() -> None:
    with pytest.raises(ConfigurationError, match="ABLY_CLIENTS is 'echo'"):
        AblyDriver(key=KEY, clients="echo")  # type: ignore[arg-type]


def test_the_environment_configures_it(ably: AblyStub, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "BROADCAST_DRIVER": "ably",
        "ABLY_KEY": KEY,
        "ABLY_CLIENTS": "ably",
        "ABLY_ENDPOINT": "127.0.0.1",
        "ABLY_PORT": str(ably.port),
        "ABLY_CONNECT_TIMEOUT": "1.5",
        "ABLY_READ_TIMEOUT": "2.5",
        "ABLY_RETRIES": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with BroadcastManager.from_env() as broadcast:
        broadcast.send(AnonymousEvent("ping", on=PrivateChannel("a"), data={"n": 1}))

    assert [(m.channel, m.name, m.data) for m in ably.published] == [("private:a", "ping", {"n": 1})]


def test_it_does_not_show_its_key() -> None:
    assert "secret" not in repr(AblyDriver(key=KEY))


# Tokens.


def exchanged(request: dict[str, Any], ably: AblyStub) -> tuple[int, dict[str, Any]]:
    """Ask Ably for a token, as a native client does."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", ably.port, timeout=10, context=ssl.create_default_context()
    )
    try:
        path = f"/keys/{request['keyName']}/requestToken"
        connection.request("POST", path, json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_native_client_gets_a_token_for_its_channels(ably: AblyStub, make: Make) -> None:
    driver = make(clients="ably")

    request = driver.token_request(
        {
            "private-orders.7": ["subscribe", "history"],
            "presence-room": None,
            "lobby": None,
            "private-a;b": "publish",
            "public:*": ["subscribe"],
        },
        client_id="42",
        ttl=600,
    )
    status, token = exchanged(request, ably)

    assert status == 201
    assert token["clientId"] == "42"
    assert token["expires"] - token["issued"] == 600_000
    assert {name: set(operations) for name, operations in token["capability"].items()} == {
        "private:orders.7": {"subscribe", "history"},
        "presence:room": {"subscribe", "presence"},
        "public:lobby": {"subscribe"},
        "private:a;b": {"publish"},
        "public:*": {"subscribe"},
    }


def test_a_token_may_be_asked_for_by_channel_and_for_nobody(ably: AblyStub, make: Make) -> None:
    driver = make(clients="ably")

    request = driver.token_request({PresenceChannel("a"): None, PrivateChannel("b"): ["*"]})
    status, token = exchanged(request, ably)

    assert status == 201
    assert "clientId" not in token
    assert token["expires"] - token["issued"] == 3_600_000
    assert {name: set(granted) for name, granted in token["capability"].items()} == {
        "presence:a": {"subscribe", "presence"},
        "private:b": {"*"},
    }


def test_every_token_request_is_good_once(ably: AblyStub, make: Make) -> None:
    first, second = (make().token_request({"lobby": None}) for _ in range(2))

    assert [exchanged(request, ably)[0] for request in (first, second, first)] == [201, 201, 401]


def test_a_token_request_that_was_changed_on_the_way_is_worth_nothing(ably: AblyStub, make: Make) -> None:
    request = make().token_request({"lobby": None}, client_id="42")

    changes: list[dict[str, Any]] = [{"clientId": "1"}, {"capability": '{"*":["*"]}'}, {"ttl": 86_400_000}]
    answers = [exchanged({**request, **change}, ably) for change in changes]

    assert [(status, answer["error"]["code"]) for status, answer in answers] == [(401, 40101)] * 3


@pytest.mark.parametrize(
    ("capability", "ttl"), [({}, None), ({"lobby": []}, None), ({"lobby": ["subscribe"]}, 0)]
)
def test_a_token_that_would_be_good_for_nothing_is_not_asked_for(
    capability: dict[str, list[str]], ttl: float | None, make: Make
) -> None:
    with pytest.raises(ConfigurationError, match="a token needs"):
        make().token_request(capability, ttl=ttl)


def test_a_name_that_is_none_is_told(make: Make) -> None:
    with pytest.raises(InvalidChannelName, match="'/' at position 1"):
        make().token_request({"a/b": None})


def test_a_token_request_shows_no_secret(make: Make) -> None:
    assert "secret" not in json.dumps(make().token_request({"lobby": None}))
