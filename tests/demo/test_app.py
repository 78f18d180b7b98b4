from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from broadcaster import BroadcastManager
from broadcaster.config import DriverConfig, Settings
from broadcaster.demo.app import Application, Request, Response
from broadcaster.signing import Credentials
from tests.recording import RecordingDriver

CREDENTIALS = Credentials("key", "secret")
OTTER = {"x-user-id": "otter", "x-user-name": "Quiet%20Otter"}


@pytest.fixture
def driver() -> RecordingDriver:
    return RecordingDriver()


@pytest.fixture
def application(driver: RecordingDriver) -> Application:
    return application_on(driver)


def application_on(driver: RecordingDriver) -> Application:
    broadcast = BroadcastManager(Settings("recording", {"recording": DriverConfig("recording")}))
    broadcast.extend("recording", lambda: driver)
    return Application(broadcast, CREDENTIALS, port=6001)


def say(application: Application, body: object, **headers: str) -> Response:
    given = OTTER | {name.replace("_", "-"): value for name, value in headers.items()}
    return application.respond(Request("POST", "/say", given, json.dumps(body).encode()))


def ask(application: Application, headers: dict[str, str] = OTTER, **form: str) -> Response:
    return application.respond(Request("POST", "/broadcasting/auth", headers, urlencode(form).encode()))


def content(response: Response) -> Any:
    return json.loads(response.body)


def test_what_somebody_says_becomes_a_typed_event_on_the_private_channel(
    application: Application, driver: RecordingDriver
) -> None:
    response = say(application, {"text": "  Hello  "})

    assert response.status == 200
    (message,) = driver.delivered
    assert (message.name, message.channels) == ("MessageSent", ("private-demo",))
    data = json.loads(message.data)
    assert data.pop("sent_at").endswith("Z")
    assert data == {"user_id": "otter", "name": "Quiet Otter", "text": "Hello"}


def test_the_window_that_says_it_is_left_out(application: Application, driver: RecordingDriver) -> None:
    say(application, {"text": "Hello"}, x_socket_id="12.34")

    assert driver.delivered[0].except_socket == "12.34"


def test_a_malformed_socket_id_leaves_nobody_out(application: Application, driver: RecordingDriver) -> None:
    say(application, {"text": "Hello"}, x_socket_id="12.34\n")

    assert driver.delivered[0].except_socket is None


def test_the_answer_tells_what_was_delivered(application: Application) -> None:
    answer = content(say(application, {"text": "Hello"}, x_socket_id="12.34"))

    delivery = {"event": "MessageSent", "channels": ["private-demo"], "driver": "recording"}
    assert answer["deliveries"] == [delivery | {"left_out": "12.34"}]
    assert answer["milliseconds"] >= 0


def test_a_failed_delivery_is_an_answer_and_not_a_crash() -> None:
    application = application_on(RecordingDriver(refuses="out of order"))

    response = say(application, {"text": "Hello"})

    assert response.status == 503
    assert content(response) == {"error": "driver 'recording': out of order"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "body: "),
        (b"{}", "text: Field required"),
        (b'{"text": 7}', "text: "),
        (b'{"text": " "}', "text: String should have at least 1 character"),
        (json.dumps({"text": "x" * 501}).encode(), "text: String should have at most 500 characters"),
        (b'{"text": "\\ud800"}', "text: "),
    ],
)
def test_a_malformed_text_is_refused_with_the_reason(
    application: Application, driver: RecordingDriver, body: bytes, reason: str
) -> None:
    response = application.respond(Request("POST", "/say", OTTER, body))

    assert response.status == 400
    assert content(response)["error"].startswith(reason)
    assert driver.delivered == []


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "id: Field required; name: Field required"),
        (OTTER | {"x-user-id": "a b"}, "id: String should match pattern"),
        (OTTER | {"x-user-id": "otter%0A"}, "id: String should match pattern"),
        (OTTER | {"x-user-name": "x" * 25}, "name: String should have at most 24 characters"),
        (OTTER | {"x-user-name": "%20"}, "name: String should have at least 1 character"),
        (OTTER | {"x-user-name": "a%00b"}, "name: Value error, only printable characters are allowed"),
    ],
)
def test_a_window_has_to_say_who_it_is(
    application: Application, headers: dict[str, str], reason: str
) -> None:
    response = ask(application, headers, socket_id="12.34", channel_name="private-demo")

    assert response.status == 400
    assert content(response)["error"].startswith(reason)


def test_the_private_channel_is_signed_for_one_socket(application: Application) -> None:
    response = ask(application, socket_id="12.34", channel_name="private-demo")

    assert response.status == 200
    assert content(response) == {"auth": CREDENTIALS.channel_auth("12.34", "private-demo")}


def test_the_presence_channel_is_signed_together_with_who_joins(application: Application) -> None:
    headers = OTTER | {"x-user-name": "Zo%C3%AB"}

    answer = content(ask(application, headers, socket_id="12.34", channel_name="presence-demo"))

    assert json.loads(answer["channel_data"]) == {
        "user_id": "otter",
        "user_info": {"id": "otter", "name": "Zo\u00eb"},
    }
    assert answer["auth"] == CREDENTIALS.channel_auth("12.34", "presence-demo", answer["channel_data"])


@pytest.mark.parametrize("channel", ["private-other", "presence-other", "demo", "private-demo "])
def test_any_other_channel_is_forbidden(application: Application, channel: str) -> None:
    response = ask(application, socket_id="12.34", channel_name=channel)

    assert response.status == 403
    assert content(response).keys() == {"error"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "socket_id: Field required; channel_name: Field required"),
        (b"channel_name=private-demo", "socket_id: Field required"),
        (b"channel_name=private-demo&socket_id=12", "socket_id: Value error, a socket id is two numbers"),
        (b"channel_name=private-demo&socket_id=1.2%0A", "socket_id: Value error"),
        (b"socket_id=12.34", "channel_name: Field required"),
        (b"socket_id=12.34&channel_name=" + b"x" * 201, "channel_name: String should have at most 200"),
        (b"\xff", "the body is not a form"),
        (b"a=1&" * 11, "the body is not a form"),
    ],
)
def test_a_malformed_auth_request_is_refused_with_the_reason(
    application: Application, body: bytes, reason: str
) -> None:
    response = application.respond(Request("POST", "/broadcasting/auth", OTTER, body))

    assert response.status == 400
    assert content(response)["error"].startswith(reason)


def test_the_page_learns_where_to_connect(application: Application) -> None:
    response = application.respond(Request("GET", "/config"))

    assert content(response) == {"key": "key", "port": 6001}


@pytest.mark.parametrize(
    ("path", "content_type", "part"),
    [
        ("/", "text/html", b"<title>broadcaster demo</title>"),
        ("/page.css", "text/css", b"prefers-color-scheme"),
        ("/page.js", "text/javascript", b'from "./chat.js"'),
        ("/beneath.js", "text/javascript", b"export function"),
        ("/chat.js", "text/javascript", b'listen(".MessageSent"'),
        ("/client.js", "text/javascript", b"export class Echo"),
        ("/chat.py", "text/plain", b"class MessageSent(Event):"),
        ("/icon.svg", "image/svg+xml", b"<svg"),
    ],
)
def test_the_page_and_the_files_that_it_is_made_of(
    application: Application, path: str, content_type: str, part: bytes
) -> None:
    response = application.respond(Request("GET", path))

    assert response.status == 200
    assert response.content_type.startswith(content_type)
    assert part in response.body


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("GET", "/say"), ("POST", "/"), ("GET", "/../app.py")]
)
def test_anything_else_is_not_found(application: Application, method: str, path: str) -> None:
    response = application.respond(Request(method, path))

    assert response.status == 404
    assert content(response) == {"error": f"nothing answers {method} {path}"}
