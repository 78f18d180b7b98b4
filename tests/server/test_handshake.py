"""The opening handshake, beside the library `websockets` as the judge."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol

from broadcaster.protocol.api import ApiResponse
from broadcaster.server.handshake import Handshake, shake

KEY = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
VERSION = ("Sec-WebSocket-Version", "13")
UPGRADE = [("Host", "a"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), KEY, VERSION]

SILENT = logging.getLogger("tests.server.silent")
SILENT.setLevel(logging.CRITICAL)


def judged(headers: list[tuple[str, str]]) -> tuple[int, str | None, str | None]:
    """Return what the library answers: status, accepted key, extensions."""
    deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
    response = ServerProtocol(extensions=[deflate], logger=SILENT).accept(Request("/", Headers(headers)))
    found = response.headers
    return response.status_code, found.get("Sec-WebSocket-Accept"), found.get("Sec-WebSocket-Extensions")


def answered(headers: list[tuple[str, str]]) -> tuple[int, str | None, str | None]:
    """Return the same of what we answer."""
    handshake = shake(headers)
    if isinstance(handshake, ApiResponse):
        return handshake.status, None, None
    status, *lines = handshake.answer.decode().removesuffix("\r\n\r\n").split("\r\n")
    found = dict(line.split(": ", 1) for line in lines)
    assert found.pop("Upgrade") == "websocket"
    assert found.pop("Connection") == "Upgrade"
    accept, extensions = found.pop("Sec-WebSocket-Accept"), found.pop("Sec-WebSocket-Extensions", None)
    assert not found
    assert handshake.deflated == (extensions is not None)
    return int(status.split()[1]), accept, extensions


def test_the_example_of_rfc_6455_is_answered_as_it_stands_there() -> None:
    assert answered(UPGRADE) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", None)


def test_what_browsers_send_is_taken() -> None:
    handshake = shake(
        [
            *UPGRADE,
            ("Connection", "keep-alive, Upgrade"),
            ("Origin", "https://example.com"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ]
    )

    assert isinstance(handshake, Handshake)
    assert handshake.origin == "https://example.com"
    assert handshake.deflated


def test_without_a_page_there_is_no_origin() -> None:
    handshake = shake(UPGRADE)

    assert isinstance(handshake, Handshake)
    assert handshake.origin is None
    assert not handshake.deflated


@pytest.mark.parametrize("missing", ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_a_request_that_lacks_a_header_is_told_which(missing: str) -> None:
    handshake = shake([header for header in UPGRADE if header[0] != missing])

    assert isinstance(handshake, ApiResponse)
    assert handshake.status == (400 if missing == "Sec-WebSocket-Key" else 426)
    assert missing.removeprefix("Sec-WebSocket-").lower() in handshake.body.lower()


@pytest.mark.parametrize("version", ["8", "12", "14", "", "13, 8", "x" * 1_000])
def test_another_version_is_told_the_one_that_is_spoken(version: str) -> None:
    handshake = shake([*UPGRADE[:-1], ("Sec-WebSocket-Version", version)])

    assert isinstance(handshake, ApiResponse)
    assert handshake.status == 426
    assert ("Sec-WebSocket-Version", "13") in handshake.headers
    assert len(handshake.body) < 100


def test_an_origin_that_is_told_twice_is_that_of_no_page_that_may_connect() -> None:
    handshake = shake([*UPGRADE, ("Origin", "https://a.test"), ("Origin", "https://b.test")])

    assert isinstance(handshake, Handshake)
    assert handshake.origin == "https://a.test, https://b.test"


VALUES = {
    "Upgrade": ["websocket", "WebSocket", "h2c", "websocket, h2c", ""],
    "Connection": ["Upgrade", "upgrade", "keep-alive, Upgrade", "keep-alive", "upgraded", "close"],
    "Sec-WebSocket-Key": [
        KEY[1],
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAA",
        "dGhlIHNhbXBsZSBub25jZQ==AAAA",
        "dGhlIHNhbXBsZ SBub25jZQ=",
        "not Base64 at all ......",
        "ü" * 24,
        "",
    ],
    "Sec-WebSocket-Version": ["13", "13", "13", "8", ""],
    "Sec-WebSocket-Extensions": [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=9; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; nonsense, permessage-deflate",
        "x-webkit-deflate-frame",
        "permessage-deflate;",
    ],
    "Cookie": ["a=b"],
}


@st.composite
def heads(draw: st.DrawFn) -> list[tuple[str, str]]:
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3))
    wanted = [*UPGRADE, *((name, draw(st.sampled_from(VALUES[name]))) for name in names)]
    replaced = {name.lower(): (name, value) for name, value in wanted}
    return draw(st.sampled_from([wanted, list(replaced.values())]))


@given(heads())
def test_every_request_is_judged_as_the_library_does(headers: list[tuple[str, str]]) -> None:
    answer, expected = answered(headers), judged(headers)

    if expected[0] == 101:
        assert answer == expected
    else:
        # RFC 6455, 4.4, has another version answered with 426, the library with 400.
        assert answer[0] in {400, 426}
