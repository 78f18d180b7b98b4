"""Outboxes in Python: frames wait for the end of the event loop's turn, and leave in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

__all__ = ["Crowd", "Flusher", "Outbox"]

_MOST_WAITING = 262_144
"""From so many bytes on nothing waits for the end of the turn."""


class Flusher:
    """Has what was written sent at the end of the turn, which *call_soon* of the event loop tells it."""

    __slots__ = ("_call_soon", "_is_scheduled", "_waiting", "outboxes")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._is_scheduled = False
        self._waiting = 0
        self.outboxes: list[Outbox] = []
        """Those that have something to send."""

    def __call__(self) -> None:
        """Send all that waits; the event loop calls this."""
        self._is_scheduled = False
        self._flush()

    def schedule(self) -> None:
        """See to it that what waits is sent."""
        if not self._is_scheduled:
            self._call_soon(self)
            self._is_scheduled = True

    def count(self, size: int) -> None:
        """Count *size* bytes more for some connection; send at once where too much waits."""
        self._waiting += size
        if self._waiting > _MOST_WAITING:
            self._flush()

    def _flush(self) -> None:
        # What is written meanwhile waits for the next time.
        outboxes, self.outboxes = self.outboxes, []
        self._waiting = 0
        error: Exception | None = None
        for outbox in outboxes:
            try:
                outbox.flush()
            except Exception as trouble:  # noqa: BLE001 - one connection's trouble is not the others'
                error = error or trouble
        if error is not None:
            raise error


class Outbox:
    """What waits to be sent to one connection.

    It goes by *transport*; the C part sends straight to *descriptor*, unless that is -1. *deflated* says
    whether the peer takes compressed frames.
    """

    __slots__ = ("_transport", "deflated", "flusher", "frames")

    def __init__(
        self,
        flusher: Flusher,
        transport: asyncio.WriteTransport,
        descriptor: int,
        deflated: bool,  # noqa: FBT001 - the C part takes no names
    ) -> None:
        _ = descriptor
        self._transport: asyncio.WriteTransport | None = transport
        self.flusher = flusher
        self.deflated = deflated
        self.frames: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return self._transport is not None

    def write(self, payload: bytes, /) -> None:
        """Send a frame before the turn ends."""
        if self._transport is not None:
            self.flusher.schedule()
            if not self.frames:
                self.flusher.outboxes.append(self)
            self.frames.append(payload)
            self.flusher.count(len(payload))

    def flush(self) -> None:
        """Send at once what waits for the end of the turn."""
        if self._transport is not None and self.frames:
            frames, self.frames = self.frames, []
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def close(self) -> None:
        """Forget the transport, and what was to be sent."""
        self._transport = None
        self.frames = []


class Crowd:
    """The outboxes of connections that often get the same frame; they have one flusher."""

    __slots__ = ("_flusher", "_outboxes", "deflated")

    def __init__(self, outboxes: Iterable[Outbox]) -> None:
        self._outboxes = tuple(outboxes)
        self._flusher = self._outboxes[0].flusher if self._outboxes else None
        if any(outbox.flusher is not self._flusher for outbox in self._outboxes):
            raise ValueError("a crowd's outboxes have one flusher")
        self.deflated = any(outbox.deflated for outbox in self._outboxes)

    def write(self, payload: bytes, without: Outbox | None, deflated: bytes | None = None, /) -> int:
        """Send a frame to all but *without*, compressed to those who take that; return how many they are."""
        if self._flusher is None:
            return 0
        self._flusher.schedule()
        waiting, left_out = self._flusher.outboxes, 0
        for outbox in self._outboxes:
            if outbox is without:
                left_out += 1
                continue
            if not outbox.is_open:
                continue
            if not outbox.frames:
                waiting.append(outbox)
            outbox.frames.append(deflated if deflated is not None and outbox.deflated else payload)
        self._flusher.count(len(payload))
        return len(self._outboxes) - left_out
