from __future__ import annotations

import json
import time
from typing import Any

import pytest

from broadcaster.signing import Credentials
from broadcaster.webhooks import InvalidWebhook, WebhookEvent, WebhookPayload, read_webhook

CREDENTIALS = Credentials("key", "secret")


def sent(body: bytes, credentials: Credentials = CREDENTIALS) -> tuple[bytes, dict[str, str]]:
    """Return a request as a server sends it."""
    signature = credentials.body_signature(body)
    return body, {"X-Pusher-Key": credentials.key, "X-Pusher-Signature": signature}


def telling(*events: object, age: float = 0) -> bytes:
    return json.dumps({"time_ms": int((time.time() - age) * 1000), "events": events}).encode()


@pytest.mark.parametrize(
    ("body", "secret", "signature"),
    [
        (
            b'{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"test_channel"}]}',
            "7ad3773142a6692b25b8",
            "709fdb84c03664445f7698120b0edf0acc1ab1c8c6e93a0368c61841d6b998aa",
        ),
        (
            b'{"hello":"world"}',
            "thisisasecret",
            "40e0ad3b9aa49529322879e84de1aaaf18bde1efe839ca263d540cc865510d25",
        ),
    ],
)
def test_the_signature_is_that_of_pushers_own_libraries(body: bytes, secret: str, signature: str) -> None:
    assert Credentials("key", secret).body_signature(body) == signature


def test_a_webhook_of_the_hosted_service_is_read_whenever_it_is_asked_for() -> None:
    body = b'{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"test_channel"}]}'

    payload = read_webhook(*sent(body), CREDENTIALS, seconds=float("inf"))

    assert payload == WebhookPayload(1327078148132, (WebhookEvent("channel_occupied", "test_channel"),))


def test_every_field_of_every_event_is_read() -> None:
    body = telling(
        {"name": "member_added", "channel": "presence-a", "user_id": "7"},
        {
            "name": "client_event",
            "channel": "private-a",
            "event": "client-x",
            "data": "{}",
            "socket_id": "1.2",
        },
        {"name": "subscription_count", "channel": "a", "subscription_count": 3},
        {"name": "of_a_later_protocol", "channel": "a", "more": []},
    )

    payload = read_webhook(*sent(body), CREDENTIALS)

    assert payload.events == (
        WebhookEvent("member_added", "presence-a", user_id="7"),
        WebhookEvent("client_event", "private-a", event="client-x", data="{}", socket_id="1.2"),
        WebhookEvent("subscription_count", "a", subscription_count=3),
        WebhookEvent("of_a_later_protocol", "a"),
    )


def test_headers_are_found_however_they_are_written() -> None:
    body, headers = sent(telling())

    assert (
        read_webhook(body, {name.upper(): value for name, value in headers.items()}, CREDENTIALS).events == ()
    )
    assert (
        read_webhook(body, {name.lower(): value for name, value in headers.items()}, CREDENTIALS).events == ()
    )


def test_while_a_key_is_replaced_both_are_taken() -> None:
    old = Credentials("old", "secret-1")

    assert read_webhook(*sent(telling(), old), CREDENTIALS, old).events == ()


@pytest.mark.parametrize(
    ("events", "age", "credentials", "reason", "status"),
    [
        ([], 0, Credentials("key", "other"), "signature does not match: check the secret", 401),
        ([], 0, Credentials("other", "secret"), "'other' is not this application's", 401),
        ([], 400, CREDENTIALS, "more than 300 seconds ago: compare the clocks", 401),
        ([], -400, CREDENTIALS, "compare the clocks", 401),
        ([{"name": 1, "channel": "a"}], 0, CREDENTIALS, "no name or no channel", 400),
    ],
)
def test_a_webhook_of_another_or_of_another_time_is_refused(
    events: list[object], age: float, credentials: Credentials, reason: str, status: int
) -> None:
    with pytest.raises(InvalidWebhook, match=reason) as refused:
        read_webhook(*sent(telling(*events, age=age), credentials), CREDENTIALS)

    assert refused.value.status == status
    assert "secret" not in str(refused.value).replace("the secret", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "not a JSON object"), (b"[]", "not a JSON object"), (b"{}", "no time_ms or no events")],
)
def test_a_body_that_tells_nothing_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidWebhook, match=reason) as refused:
        read_webhook(*sent(body), CREDENTIALS)

    assert refused.value.status == 400


def test_a_request_that_is_not_signed_is_refused() -> None:
    for headers in ({}, {"X-Pusher-Key": "key"}, {"X-Pusher-Key": "key", "X-Pusher-Signature": "ä"}):
        with pytest.raises(InvalidWebhook) as refused:
            read_webhook(telling(), headers, CREDENTIALS)
        assert refused.value.status == 401


def test_a_body_that_was_changed_on_the_way_is_refused() -> None:
    body, headers = sent(telling({"name": "channel_occupied", "channel": "a"}))

    with pytest.raises(InvalidWebhook, match="does not match"):
        read_webhook(body.replace(b'"a"', b'"b"'), headers, CREDENTIALS)


def test_the_reader_of_pushers_own_library_takes_what_ours_does() -> None:
    import pusher

    body, headers = sent(telling({"name": "channel_occupied", "channel": "a"}))
    theirs: Any = pusher.Pusher(app_id="1", key="key", secret="secret")

    read = theirs.validate_webhook(headers["X-Pusher-Key"], headers["X-Pusher-Signature"], body.decode())

    assert read["events"] == [{"name": "channel_occupied", "channel": "a"}]
