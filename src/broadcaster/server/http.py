"""HTTP/1.1 on the server's port: plain requests, and the way to a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import cast

from broadcaster.errors import MissingExtra
from broadcaster.protocol.api import ApiRequest, ApiResponse
from broadcaster.server.bounds import Bounds
from broadcaster.server.outbox import Flusher, Outbox, outbox_of
from broadcaster.server.query import parse_query
from broadcaster.server.transports import Transports
from broadcaster.server.turns import Turn, Turns

try:
    import httptools
except ImportError as error:
    raise MissingExtra("httptools", extra="server") from error

__all__ = ["Headers", "HttpConnection", "Upgrade", "encode_response"]

Headers = list[tuple[str, str]]
_HEEDED = frozenset({b"expect", b"upgrade", b"x-idempotency-key"})

Upgrade = Callable[[asyncio.Transport, str, Headers, bytes, str], None]
"""Takes the transport, the target, the headers, what the client has sent beyond them, and its address."""


class HttpConnection(asyncio.Protocol):
    """One client that speaks HTTP until it asks for a WebSocket.

    Requests are answered in order, whole, and within bounds of size and time.
    """

    __slots__ = (
        "_body", "_bounds", "_flusher", "_head_size", "_headers", "_heeded", "_outbox", "_parser", "_refusal",
        "_target", "_transport", "_transports", "_turns", "_unparsed", "_unread", "_upgrade", "address",
    )  # fmt: skip

    def __init__(
        self,
        *,
        answer: Callable[[ApiRequest], ApiResponse | Awaitable[ApiResponse]],
        upgrade: Upgrade,
        transports: Transports,
        flusher: Flusher,
        bounds: Bounds,
    ) -> None:
        self._bounds = bounds
        self._flusher = flusher
        self._outbox: Outbox | None = None
        self._turns = Turns(answer, write=self._write, done=self._read_on)
        self._upgrade = upgrade
        self._transports = transports
        self.address = ""
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._refusal: tuple[int, str] | None = None
        self._unparsed = 0
        self._unread = False
        self._head_size = 0
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client a short time for its first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._transports.opened(self._transport)
        self._transports.limit(self._transport, self._bounds.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        if self._outbox is not None:
            self._outbox.close()
        self._turns.close()
        self._transports.lost(self._transport)
        self._let_go()

    def pause_writing(self) -> None:
        """Take no further request from a client that does not read its answers."""
        self._unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on with its requests."""
        self._unread = False
        self._read_on()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_...` methods below."""
        # A header that never ends is kept inside the parser, out of sight of `on_header()`.
        self._unparsed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._hand_over(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP")
        else:
            self._check_head(max(self._unparsed, self._head_size))
            if self._refusal is not None:
                self._refuse(*self._refusal)

    def on_message_begin(self) -> None:
        """Start a request."""
        self._reset()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._target += url
        self._head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        name = name.lower()
        self._headers.append((name, value))
        self._head_size += len(name) + len(value)
        if name in _HEEDED:
            self._heeded.setdefault(name, []).append(value)

    def on_headers_complete(self) -> None:
        """Invite the body, where the client waits to be asked."""
        self._unparsed = 0
        self._check_head(self._head_size)
        if self._heeded and self._expects_invitation() and self._refusal is None:
            self._say(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unparsed = 0
        if len(self._body) + len(body) <= self._bounds.body_size:
            self._body += body
        else:
            self._refusal = (413, f"the body is larger than {self._bounds.body_size} bytes")

    def on_message_complete(self) -> None:
        """Answer the request, unless it asks for another protocol."""
        self._unparsed = 0
        self._check_head(self._head_size)
        if self._refusal is not None or self._transport.is_closing() or self._wants_websocket():
            return
        method = self._parser.get_method().decode("latin-1")
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._turns.take(Turn(self._request(method), keep_alive, head_only=method == "HEAD"))
        if self._turns.is_waiting:
            self._transport.pause_reading()

    def _request(self, method: str) -> ApiRequest | ApiResponse:
        path, _, query = self._target.decode("latin-1").partition("?")
        try:
            params = parse_query(query)
        except ValueError:
            return ApiResponse(400, "the query cannot be read")
        ids = b", ".join(self._heeded.get(b"x-idempotency-key", ())).decode("latin-1")
        return ApiRequest(method, path, params, bytes(self._body), ids, self._headers)

    def _expects_invitation(self) -> bool:
        return any(value.lower() == b"100-continue" for value in self._heeded.get(b"expect", ()))

    def _read_on(self) -> None:
        if not (self._unread or self._turns.is_waiting or self._transport.is_closing()):
            self._transport.resume_reading()

    def _check_head(self, size: int) -> None:
        if size > self._bounds.head_size:
            self._refusal = (431, f"the request's head is larger than {self._bounds.head_size} bytes")

    def _wants_websocket(self) -> bool:
        upgrades = self._heeded.get(b"upgrade")
        if upgrades is None or [value.lower() for value in upgrades] != [b"websocket"]:
            return False
        is_http_1_1_get = self._parser.get_method() == b"GET" and self._parser.get_http_version() == "1.1"
        return is_http_1_1_get and self._parser.should_upgrade()

    def _hand_over(self, beyond: bytes) -> None:
        if self._outbox is not None:
            self._outbox.flush()
        if (self._unread or self._turns.is_waiting) and self._refusal is None:
            # The WebSocket would start with a full outbox, or before what is to be answered first.
            self._refusal = (400, "read the answers before you ask for a WebSocket")
        if self._refusal is not None:
            self._refuse(*self._refusal)
        elif self._wants_websocket():
            target = self._target.decode("latin-1")
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers]
            self._upgrade(self._transport, target, headers, beyond, self.address)
            if self._transport.get_protocol() is not self:
                self._let_go()
        # Any other upgrade was declined by an ordinary answer, and the connection is closing.

    def _let_go(self) -> None:
        # They hold this object, and it them: what goes round in a circle is left to the garbage collector.
        del self._parser, self._turns

    def _refuse(self, status: int, reason: str) -> None:
        if not self._transport.is_closing():
            self._turns.take(Turn(ApiResponse(status, reason), keep_alive=False))

    def _write(self, turn: Turn, response: ApiResponse) -> None:
        if self._transport.is_closing():
            return
        keep_alive = turn.keep_alive and not self._transports.ending
        self._say(encode_response(response, keep_alive=keep_alive, head_only=turn.head_only))
        if keep_alive:
            self._transports.limit(self._transport, self._bounds.idle_seconds)
        else:
            self._flusher()
            self._transport.close()

    def _say(self, data: bytes) -> None:
        # Behind the frames of the event that was posted: whoever hears that it was taken may rely on it.
        if self._outbox is None:
            self._outbox = outbox_of(self._flusher, self._transport, deflated=False)
        self._outbox.write(data)

    def _reset(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._heeded: dict[bytes, list[bytes]] = {}
        self._body = bytearray()
        self._head_size = 0


def encode_response(response: ApiResponse, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """Return the bytes of a whole answer."""
    body = response.body.encode()
    head = _head(response.status, response.headers, len(body), keep_alive)
    return head if head_only else head + body


@lru_cache(maxsize=64)
def _head(status: int, headers: tuple[tuple[str, str], ...], size: int, keep_alive: bool) -> bytes:  # noqa: FBT001
    """Return what goes before a body; most answers have one of a few."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {size}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
