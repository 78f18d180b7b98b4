"""A WebSocket connection on a transport: prebuilt frames go out, text comes in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from broadcaster.errors import MissingExtra
from broadcaster.server.bounds import Bounds
from broadcaster.server.outbox import Outbox
from broadcaster.server.session import Session
from broadcaster.server.transports import Transports

try:
    from websockets.datastructures import Headers
    from websockets.exceptions import NegotiationError
    from websockets.extensions import Extension
    from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
    from websockets.frames import Frame, Opcode
    from websockets.http11 import Request
    from websockets.protocol import SEND_EOF, Protocol, Side, State
    from websockets.server import ServerProtocol
    from websockets.typing import ExtensionParameter
except ImportError as error:
    raise MissingExtra("websockets", extra="server") from error

__all__ = ["Handshake", "WebSocketConnection", "deflate_frame", "encode_frame"]

_WINDOW_BITS = 15

# Quiet and shared: what a client does wrong is told to the client, in its close frame.
_logger = logging.getLogger("broadcaster.server.websocket")
_logger.setLevel(logging.CRITICAL)


def encode_frame(text: str) -> bytes:
    """Return the bytes of one unmasked text frame, good for any number of connections."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def deflate_frame(text: str) -> bytes:
    """Return the bytes of a compressed text frame, good for any connection that agreed to compression."""
    alone = PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=_WINDOW_BITS,
        local_max_window_bits=_WINDOW_BITS,
    )
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False, extensions=[alone])


class _SharedDeflate(ServerPerMessageDeflateFactory):
    """Agrees to compression by which one frame is good for everybody: nothing is kept between messages."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        agreed, extension = super().process_request_params(params, accepted_extensions)
        if extension.local_max_window_bits < _WINDOW_BITS:
            raise NegotiationError("a smaller window would take frames of its own")
        return agreed, extension


_DEFLATE = _SharedDeflate()


class Handshake:
    """The answer to an opening handshake; *accepted* says whether it becomes a WebSocket.

    *origin* is the site whose page asks, None where no page does; *extensions* are those agreed on.
    """

    def __init__(self, target: str, headers: list[tuple[str, str]]) -> None:
        # The request has been parsed already, so the library only judges it.
        self.origin = next((value for name, value in headers if name.lower() == "origin"), None)
        protocol = ServerProtocol(extensions=[_DEFLATE], logger=_logger)
        self._response = protocol.accept(Request(target, Headers(headers)))
        self.accepted = self._response.status_code == 101
        self.extensions = protocol.extensions if self.accepted else []

    def answer(self) -> bytes:
        """Return the bytes of the answer."""
        return self._response.serialize()


class WebSocketConnection(asyncio.Protocol):
    """One open WebSocket; it is the hub's `Wire`.

    A message larger than *max_size* bytes closes it with 1009. What the peer does not read is kept within
    *bounds*; beyond them the connection is cut.
    """

    __slots__ = (
        "_close_seconds", "_ending", "_fragments", "_protocol", "_transport", "_transports", "deflated",
        "outbox", "session", "write",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        outbox: Outbox,
        *,
        transports: Transports,
        max_size: int,
        bounds: Bounds,
        extensions: list[Extension] | None = None,
    ) -> None:
        self._transport = transport
        self._protocol = Protocol(Side.SERVER, max_size=max_size, logger=_logger)
        self._protocol.extensions = extensions or []
        self.deflated = bool(extensions)
        self._transports = transports
        self._fragments: bytearray | None = None
        self._ending = False
        self._close_seconds = bounds.close_seconds
        self.session: Session | None = None
        self.outbox = outbox
        self.write = outbox.write
        transport.set_write_buffer_limits(high=bounds.outbox_size)

    def probe(self) -> None:
        """Send a ping."""
        self._protocol.send_ping(b"")
        self._flush()

    def hang_up(self, code: int, reason: str) -> None:
        """Send a close frame, and give the peer some seconds to answer it."""
        if self._protocol.state is State.OPEN:
            # RFC 6455, 5.5.1: with its code, a close frame holds 125 bytes.
            self._protocol.send_close(code, reason.encode()[:123].decode(errors="ignore"))
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Take frames apart; the answers to pings and close frames are the library's."""
        self._protocol.receive_data(data)
        if self._protocol.state is State.OPEN:
            # Answers to pings before those to messages; the answer to a close comes after all of them.
            self._flush()
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and self.session is not None:
                self._take(frame, self.session)
        self._flush()

    def eof_received(self) -> None:
        """Forget a peer that has said all; the transport closes once what is left for it is written."""
        self._expect_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the hub."""
        # Before the transport closes the socket, whose number may be another one's next.
        self.outbox.close()
        self._transports.lost(self._transport)
        self._end()

    def pause_writing(self) -> None:
        """Cut off a peer whose outbox is full: waiting for it would cost memory, or the others' time."""
        if self.session is not None and not self._transport.is_closing():
            self.session.cut_off()
        self._transport.abort()

    def resume_writing(self) -> None:
        """Do nothing: a peer that was cut off does not come back."""

    def _take(self, frame: Frame, session: Session) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.CONT:
                self._take_text(frame, session)
            case Opcode.PING | Opcode.PONG:
                session.touched()
            case Opcode.BINARY:
                self._fail(1003, "only text frames are understood")

    def _take_text(self, frame: Frame, session: Session) -> None:
        payload = frame.data
        if self._fragments is not None or not frame.fin:
            session.touched()
            self._fragments = self._fragments or bytearray()
            self._fragments += frame.data
            if not frame.fin:
                return
            payload, self._fragments = self._fragments, None
        try:
            text = str(payload, "utf-8")
        except UnicodeDecodeError:
            self._fail(1007, "text must be UTF-8")
        else:
            session.received(text)

    def _fail(self, code: int, reason: str) -> None:
        self._protocol.fail(code, reason)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data is not SEND_EOF:
                self.write(data)
                continue
            self.outbox.flush()
            if self._transport.is_closing():
                continue
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                # TLS cannot end one way only.
                self._transport.close()
        if self._protocol.close_expected():
            self._expect_end()

    def _expect_end(self) -> None:
        # Once: a peer that talks on would put off its end for ever.
        if not self._ending:
            self._ending = True
            self._transports.limit(self._transport, self._close_seconds)
        self._end()

    def _end(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.closed(self._close_code())

    def _close_code(self) -> int:
        """Return the code of whoever closed first."""
        sent, received = self._protocol.close_sent, self._protocol.close_rcvd
        first = received if self._protocol.close_rcvd_then_sent or sent is None else sent
        return 1006 if first is None else int(first.code)
