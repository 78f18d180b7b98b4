"""Compression of messages, RFC 7692: how it is agreed on, and what comes compressed.

The server agrees to a form by which one frame is good for everybody: nothing is kept between messages.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

__all__ = ["MalformedOffer", "Swollen", "agreement", "deflate", "inflate"]

_LONGEST = 500
"""A longer offer is declined unread: browsers make do with a tenth of it, and what is read is remembered."""

_WORD = r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
_PARAM = rf'{_WORD}(?:[ \t]*=[ \t]*(?:{_WORD}|"{_WORD}"))?'
_OFFER = rf"{_WORD}(?:[ \t]*;[ \t]*{_PARAM})*"
_OFFERS = re.compile(rf"[ \t,]*{_OFFER}(?:[ \t]*,[ \t,]*{_OFFER})*[ \t,]*")
_WINDOWS = frozenset(map(str, range(8, 16)))
_FLUSHED = b"\x00\x00\xff\xff"
"""RFC 7692, 7.2.1: every message would end with this, and so it is left out."""


class MalformedOffer(ValueError):
    """The header in which a client names extensions is none."""


class Swollen(ValueError):
    """A message is larger than it may be, once it is inflated."""


@lru_cache(maxsize=128)
def _agreement(offers: str) -> str | None:
    if _OFFERS.fullmatch(offers) is None:
        raise MalformedOffer("Sec-WebSocket-Extensions cannot be read")
    return next(filter(None, map(_accepted, offers.split(","))), None)


def agreement(offers: str) -> str | None:
    """Return what to answer to a `Sec-WebSocket-Extensions`; None where no compression is agreed on.

    Raises `MalformedOffer`.
    """
    return _agreement(offers) if len(offers) <= _LONGEST else None


def deflate(data: bytes) -> bytes:
    """Return a message in its compressed form."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_FLUSHED)


def inflate(data: bytes, *, most: int) -> bytes:
    """Return a compressed message as it was; raise `Swollen` beyond *most* bytes, and `zlib.error`."""
    text = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data + _FLUSHED, most + 1)
    if len(text) > most:
        raise Swollen(f"a message may have {most} bytes")
    return text


def _accepted(offer: str) -> str | None:
    name, *params = (part.strip(" \t") for part in offer.split(";"))
    if name != "permessage-deflate":
        return None
    values = dict(map(_param, params))
    if len(values) < len(params) or not all(_is_fine(*param) for param in values.items()):
        return None
    # A smaller window would take frames of its own; what the client keeps to itself is its own affair.
    windows = [
        f"; {name}={values[name]}"
        for name in ("server_max_window_bits", "client_max_window_bits")
        if values.get(name)
    ]
    return "".join(("permessage-deflate; server_no_context_takeover; client_no_context_takeover", *windows))


def _param(text: str) -> tuple[str, str | None]:
    name, has_value, value = text.partition("=")
    return name.rstrip(" \t"), value.strip(' \t"') if has_value else None


def _is_fine(name: str, value: str | None) -> bool:
    match name:
        case "server_no_context_takeover" | "client_no_context_takeover":
            return value is None
        case "server_max_window_bits":
            return value == str(zlib.MAX_WBITS)
        case "client_max_window_bits":
            return value is None or value in _WINDOWS
    return False
