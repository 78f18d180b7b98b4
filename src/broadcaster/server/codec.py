"""Frames of RFC 6455 as the server writes them: whole, without a mask, good for any number of connections."""

from __future__ import annotations

from broadcaster.server.deflate import deflate

__all__ = [
    "CLOSE",
    "MOST_IN_CONTROL",
    "PING",
    "PONG",
    "close_frame",
    "control_frame",
    "deflate_frame",
    "encode_frame",
]

CLOSE, PING, PONG = 0x8, 0x9, 0xA

MOST_IN_CONTROL = 125
"""How many bytes a control frame may hold."""

_TEXT = 0x81
_COMPRESSED_TEXT = 0xC1


def encode_frame(text: str) -> bytes:
    """Return the bytes of one text frame."""
    payload = text.encode()
    return _head(_TEXT, len(payload)) + payload


def deflate_frame(text: str) -> bytes:
    """Return the bytes of a compressed text frame, for connections that agreed to compression."""
    payload = deflate(text.encode())
    return _head(_COMPRESSED_TEXT, len(payload)) + payload


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a control frame; *payload* has up to 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Return the bytes of a close frame; a *reason* that is too long for it is cut."""
    words = reason.encode()[: MOST_IN_CONTROL - 2].decode(errors="ignore")
    return control_frame(CLOSE, code.to_bytes(2, "big") + words.encode())


def _head(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126, size >> 8, size & 0xFF))
    return bytes((first, 127)) + size.to_bytes(8, "big")
