"""The opening handshake of RFC 6455: whether a request becomes a WebSocket, and what it is answered."""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass

from broadcaster.protocol.api import ApiResponse
from broadcaster.server.deflate import MalformedOffer, agreement

__all__ = ["Handshake", "shake"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEEDED = frozenset(
    {
        "connection",
        "origin",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "upgrade",
    }
)
_ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What was agreed on: the bytes of the *answer*, and whether messages may come *deflated*.

    *origin* is the site whose page asks, None where no page does.
    """

    answer: bytes
    origin: str | None
    deflated: bool


def shake(headers: list[tuple[str, str]]) -> Handshake | ApiResponse:
    """Judge the *headers* of a GET by HTTP/1.1; one that becomes no WebSocket has an answer that says why."""
    heeded: dict[str, str] = {}
    for name, value in headers:
        if (known := name.lower()) in _HEEDED:
            heeded[known] = f"{heeded[known]}, {value}" if known in heeded else value
    if not _names("upgrade", heeded.get("connection", "")):
        return _upgrade_required("the header Connection does not say Upgrade")
    if heeded.get("upgrade", "").lower() != "websocket":
        return _upgrade_required("the header Upgrade does not say websocket")
    if (accept := _accept(heeded.get("sec-websocket-key", ""))) is None:
        return ApiResponse(400, "Sec-WebSocket-Key must be 16 bytes in Base64, once")
    if (version := heeded.get("sec-websocket-version")) != "13":
        return _upgrade_required(f"the version of the protocol is 13, not {version and version[:20]!r}")
    try:
        agreed = agreement(offers) if (offers := heeded.get("sec-websocket-extensions")) else None
    except MalformedOffer as malformed:
        return ApiResponse(400, str(malformed))
    extensions = f"\r\nSec-WebSocket-Extensions: {agreed}".encode() if agreed else b""
    answer = b"%b%b%b\r\n\r\n" % (_ACCEPTED, accept, extensions)
    return Handshake(answer, heeded.get("origin"), agreed is not None)


def _names(token: str, value: str) -> bool:
    """Whether *token* is in a list; Firefox says `keep-alive, Upgrade`."""
    return token in [part.strip(" \t") for part in value.lower().split(",")]


def _accept(key: str) -> bytes | None:
    """Return what proves to a client that its *key* was understood; None where that is no key."""
    try:
        text = key.encode("ascii")
        if len(binascii.a2b_base64(text, strict_mode=True)) != 16:
            return None
    except ValueError:
        return None
    return binascii.b2a_base64(hashlib.sha1(text + _GUID, usedforsecurity=False).digest(), newline=False)


def _upgrade_required(reason: str) -> ApiResponse:
    head = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
    )
    return ApiResponse(426, reason, head=head)
