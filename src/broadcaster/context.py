"""Which WebSocket connection the request in progress came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["current_socket", "is_socket_id", "is_token", "socket_of_request", "trace_headers"]

_socket: ContextVar[str | None] = ContextVar("broadcaster_socket", default=None)

trace_headers: ContextVar[Mapping[str, str] | None] = ContextVar("broadcaster_trace_headers", default=None)
"""The headers that tell the peer which span a delivery is part of; None without tracing."""

_SOCKET_ID = re.compile(r"[0-9]+\.[0-9]+")

# Long enough for those of Ably's clients, which are JSON in Base64.
_TOKEN = re.compile(r"[-A-Za-z0-9._~+/=!]{1,512}")


def is_socket_id(text: str) -> bool:
    """Whether *text* has the protocol's shape of a socket id: digits, one dot, digits."""
    return _SOCKET_ID.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether *text* may be what any protocol's client calls its connection: short, and no punctuation."""
    return _TOKEN.fullmatch(text) is not None


def socket_of_request() -> str | None:
    """Return the socket id set by the innermost `current_socket()`, or None outside of one."""
    return _socket.get()


@contextmanager
def current_socket(socket_id: str | None) -> Iterator[None]:
    """Say which connection the code inside speaks for; `to_others=True` leaves that one out.

    *socket_id* is what the browser sent as `X-Socket-ID`; its shape is that of the client's protocol. It
    comes from outside, so what can be none of theirs counts as none, here and in the drivers: a bad
    header must never make a request fail.
    """
    token = _socket.set(socket_id if socket_id and is_token(socket_id) else None)
    try:
        yield
    finally:
        _socket.reset(token)
