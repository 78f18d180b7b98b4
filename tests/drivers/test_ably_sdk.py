from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from broadcaster.drivers._ably_sdk import AblyClient, token_request
from broadcaster.drivers.requests import HttpRequest, HttpResponse, Unreachable
from tests.drivers.ably_stub import KEY, mac_of, serving_ably

SECRET = "secretsecretsecret"

Outcome = HttpResponse | Unreachable


def client(port: int, **options: Any) -> AblyClient:
    where: dict[str, Any] = {"key": KEY, "endpoint": "127.0.0.1", "port": port}
    defaults: dict[str, Any] = {"connect_timeout": 5.0, "read_timeout": 5.0, "fallback": False}
    return AblyClient(**where | defaults | options)


@pytest.fixture(params=["blocking", "in a loop"])
def send(request: pytest.FixtureRequest) -> Callable[[AblyClient, HttpRequest], Outcome]:
    def blocking(client: AblyClient, asked: HttpRequest) -> Outcome:
        try:
            return client._send(asked)
        finally:
            client.close()

    return blocking if request.param == "blocking" else lambda c, asked: asyncio.run(c._asend(asked))


Send = Callable[[AblyClient, HttpRequest], Outcome]


@contextmanager
def deaf() -> Iterator[int]:
    """Serve TLS that shakes hands and then never reads again; the value is the port."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    over = threading.Event()

    def serve() -> None:
        accepted, _ = listening.accept()
        with context.wrap_socket(accepted, server_side=True):
            over.wait(20)

    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        authority.cert_pem.tempfile() as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SSL_CERT_FILE", file)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join(20)


def test_a_peer_that_does_not_read_is_not_waited_for_without_end(send: Send) -> None:
    with deaf() as port:
        began = time.monotonic()
        outcome = send(client(port, read_timeout=0.3), HttpRequest("POST", "/messages", b"x" * 30_000_000))

    assert isinstance(outcome, Unreachable)
    assert outcome.reason.startswith("no answer")
    assert time.monotonic() - began < 10


def test_an_answer_is_handed_on_with_the_time_that_it_asks_for(send: Send) -> None:
    with serving_ably() as ably:
        ably.refuse(429, 42910, "slow down", retry_after="7")

        answer = send(client(ably.port), HttpRequest("POST", "/channels/public:a/messages", b"{}"))

    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.retry_after) == (429, 7)
    assert b"slow down" in answer.body


def test_a_certificate_of_nobody_known_is_not_trusted(send: Send) -> None:
    # Undone within the block: later it would bring back a file that is gone.
    with serving_ably() as ably, pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE")

        outcome = send(client(ably.port), HttpRequest("POST", "/channels/public:a/messages", b"{}"))

    assert isinstance(outcome, Unreachable)
    assert "no connection: [SSL: CERTIFICATE_VERIFY_FAILED]" in outcome.reason
    assert ably.asked == []


# The signatures of Ably's own SDKs for these texts.
@pytest.mark.parametrize(
    ("fields", "mac"),
    [
        ({}, "vQGDZoweccpTO2Bv+7nm3ZGJRkArGGMjd2u6X/bLT/A="),
        (
            {"ttl": 3_600_000, "capability": '{"private:orders.7": ["subscribe"]}', "clientId": "42"},
            "UA6u5RadjONgV3BkIv1mAGB8bQ3LzWZyjmlElYq911Q=",
        ),
        (
            {"ttl": 3_600_000, "capability": '{"private:orders.7":["subscribe"]}', "clientId": "42"},
            "D88IodNJb3daJf75+Zi+X5bgRlfATdWvnkF+C5f1Pco=",
        ),
    ],
)
def test_the_tests_know_the_signature_of_a_token_request(fields: dict[str, Any], mac: str) -> None:
    known = {"keyName": "appid.keyid", "timestamp": 1_700_000_000_000, "nonce": "0123456789abcdef"}

    assert mac_of({**known, **fields}, SECRET) == mac


@pytest.mark.parametrize(
    ("client_id", "ttl", "sent"),
    [
        (None, None, {}),
        ("42", 3600, {"clientId": "42", "ttl": 3_600_000}),
        ("ünï☃", 0.5, {"clientId": "ünï☃", "ttl": 500}),
        ("*", None, {"clientId": "*"}),
    ],
)
def test_a_token_request_is_signed_as_it_is_sent(
    client_id: str | None, ttl: float | None, sent: dict[str, Any]
) -> None:
    capability = {"private:orders.7": ["subscribe"]}

    request = token_request(f"appid.keyid:{SECRET}", capability, client_id=client_id, ttl=ttl)

    assert request["mac"] == mac_of(request, SECRET)
    assert {name: request[name] for name in ("clientId", "ttl") if name in request} == sent
    assert request["keyName"] == "appid.keyid"
    assert request["capability"] == '{"private:orders.7": ["subscribe"]}'


def test_without_the_sdk_the_extra_is_named() -> None:
    program = "import sys; sys.modules['ably'] = None; from broadcaster.drivers import ably"

    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=120
    )

    assert "MissingExtra: 'ably' is not installed" in result.stderr
    assert "pip install 'broadcaster-kit[ably]'" in result.stderr
