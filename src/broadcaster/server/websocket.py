"""A WebSocket connection on a transport: prebuilt frames go out, text comes in."""

from __future__ import annotations

import asyncio

from broadcaster.server.bounds import Bounds
from broadcaster.server.codec import CLOSE, PING, PONG, close_frame, control_frame
from broadcaster.server.outbox import Outbox
from broadcaster.server.parser import Alive, Closed, Fault, Parser, Pinged
from broadcaster.server.session import Session
from broadcaster.server.transports import Transports

__all__ = ["WebSocketConnection"]

_PROBE = control_frame(PING)


class WebSocketConnection(asyncio.Protocol):
    """One open WebSocket; it is the hub's `Wire`.

    A message larger than *max_size* bytes closes it with 1009; where it is *deflated*, messages may come and
    go compressed. What the peer does not read is kept within *bounds*; beyond them the connection is cut.
    """

    __slots__ = (
        "_close_seconds", "_code", "_ending", "_parser", "_transport", "_transports", "deflated", "outbox",
        "session", "write",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        outbox: Outbox,
        *,
        transports: Transports,
        max_size: int,
        bounds: Bounds,
        deflated: bool = False,
    ) -> None:
        self._transport = transport
        self._parser = Parser(max_size=max_size, deflated=deflated)
        self.deflated = deflated
        self._transports = transports
        self._code: int | None = None
        """The code of whoever closed first, as soon as somebody has."""
        self._ending = False
        self._close_seconds = bounds.close_seconds
        self.session: Session | None = None
        self.outbox = outbox
        self.write = outbox.write
        transport.set_write_buffer_limits(high=bounds.outbox_size)

    def probe(self) -> None:
        """Send a ping."""
        self.write(_PROBE)

    def hang_up(self, code: int, reason: str) -> None:
        """Send a close frame, and give the peer some seconds to answer it."""
        if self._code is None:
            self._close(code, close_frame(code, reason))
            self._expect_end()

    def data_received(self, data: bytes) -> None:
        """Take frames apart, and act on each in its turn."""
        for event in self._parser.feed(data):
            if not isinstance(event, str):
                self._act(event)
            elif self.session is not None:
                self.session.received(event)

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

    def _act(self, event: Pinged | Alive | Closed | Fault) -> None:
        match event:
            case Pinged(payload):
                if self.session is not None:
                    self.session.touched()
                    self.write(control_frame(PONG, payload))
            case Alive():
                if self.session is not None:
                    self.session.touched()
            case Closed(code, payload):
                self._close(code, control_frame(CLOSE, payload))
                self._finish()
            case Fault(code, reason):
                self._close(code, close_frame(code, reason))
                self._finish()

    def _close(self, code: int, frame: bytes) -> None:
        """Send the one close frame of this side, which says why or answers the peer's."""
        if self._code is None:
            self._code = code
            self.write(frame)

    def _finish(self) -> None:
        """End what is sent; the peer is to end the connection."""
        self.outbox.flush()
        if not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                # TLS cannot end one way only.
                self._transport.close()
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
            session.closed(1006 if self._code is None else self._code)
