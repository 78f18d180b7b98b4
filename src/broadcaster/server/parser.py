"""Frames of RFC 6455 as clients send them: bytes in, however they are cut, messages out."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TypeAlias

from broadcaster.server.codec import CLOSE, MOST_IN_CONTROL
from broadcaster.server.deflate import Swollen, inflate
from broadcaster.server.masking import unmask

__all__ = ["Alive", "Closed", "Event", "Fault", "Parser", "Pinged"]

_TEXT = 0x1
_WHOLE_TEXT = 0x81
_MASKED = 0x80
_HEAD = 6
"""A head with a short length: two bytes, and the mask."""

_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""The close codes below 3000 that an endpoint may send."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """The client asks for a pong that holds *payload*."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Alive:
    """The client lives, and asks for nothing: a pong, or a part of a message."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The client closes with *code*, 1005 where it gives none; *payload* is what the answer holds."""

    code: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The client has broken a rule: the connection is to be closed with *code*."""

    code: int
    reason: str


Event: TypeAlias = str | Pinged | Alive | Closed | Fault
"""What was received; a text message is its text."""

_ALIVE = Alive()


class _Broken(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(code, reason)


class Parser:
    """Takes frames apart, and puts messages together that have *max_size* bytes at most.

    With *deflated* they may be compressed. Nothing is read after a `Closed` or a `Fault`.
    """

    __slots__ = ("_deflated", "_inflates", "_is_over", "_max_size", "_message", "_rest", "_short")

    def __init__(self, *, max_size: int, deflated: bool = False) -> None:
        self._max_size = max_size
        self._deflated = deflated
        self._short = min(max_size, MOST_IN_CONTROL)
        self._rest: bytearray | None = None
        """The beginning of a frame that has not come whole."""
        self._message: bytearray | None = None
        """The fragments so far; whether they will have to be inflated stands beside it."""
        self._inflates = False
        self._is_over = False

    def feed(self, data: bytes) -> list[Event]:
        """Take what has been received, and return what it brings, in order."""
        if self._is_over:
            return []
        if self._rest is None:
            # What clients send most of the time: one short message, whole and alone.
            if (
                len(data) > _HEAD
                and data[0] == _WHOLE_TEXT
                and len(data) - _HEAD == data[1] - _MASKED <= self._short
                and self._message is None
            ):
                try:
                    return [unmask(data[_HEAD:], data[2:_HEAD]).decode()]
                except UnicodeDecodeError:
                    return [self._end(Fault(1007, "text must be UTF-8"))]
            return self._feed(data)
        self._rest += data
        return self._feed(self._rest)

    def _feed(self, data: bytes | bytearray) -> list[Event]:
        events: list[Event] = []
        at, end = 0, -1
        try:
            while not self._is_over and (end := self._take(data, at, events)) > at:
                at = end
        except _Broken as broken:
            events.append(self._end(broken.fault))
        if self._is_over or at == len(data):
            self._rest = None
        elif self._rest is None:
            self._rest = bytearray(data[at:])
        else:
            del self._rest[:at]
        return events

    def _take(self, data: bytes | bytearray, at: int, events: list[Event]) -> int:
        """Read one frame from *at*; return where it ends, or *at* where more has to come first."""
        if len(data) < at + 2:
            return at
        first, second = data[at], data[at + 1]
        opcode, size, start = first & 0x0F, second & 0x7F, at + 2
        self._check(first, opcode, second)
        if size > MOST_IN_CONTROL:
            start += 2 if size == 126 else 8
            if len(data) < start:
                return at
            size = _long_size(data[at + 2 : start])
        if opcode < CLOSE and size > self._max_size - len(self._message or b""):
            raise _Broken(1009, f"a message may have {self._max_size} bytes")
        end = start + 4 + size
        if len(data) < end:
            return at
        payload = unmask(data[start + 4 : end], data[start : start + 4])
        events.append(self._control(opcode, payload) if opcode >= CLOSE else self._data(first, payload))
        return end

    def _check(self, first: int, opcode: int, second: int) -> None:
        """Refuse what the first two bytes of a frame may not say."""
        reserved, is_last = first & 0x70, first & 0x80
        if reserved and not (reserved == 0x40 and self._deflated and opcode == _TEXT):
            raise _Broken(1002, "a reserved bit is set")
        if not second & _MASKED:
            raise _Broken(1002, "a client must mask its frames")
        match opcode:
            case 0x8 | 0x9 | 0xA:
                if not is_last or second & 0x7F > MOST_IN_CONTROL:
                    raise _Broken(1002, "a control frame has 125 bytes at most, and no fragments")
            case 0x1 | 0x2 if self._message is not None:
                raise _Broken(1002, "the message before is not complete")
            case 0x2:
                raise _Broken(1003, "only text frames are understood")
            case 0x0 if self._message is None:
                raise _Broken(1002, "there is no message to continue")
            case 0x0 | 0x1:
                pass
            case _:
                raise _Broken(1002, "the opcode is reserved")

    def _control(self, opcode: int, payload: bytes) -> Event:
        match opcode:
            case 0x9:
                return Pinged(payload)
            case 0xA:
                return _ALIVE
        return self._end(_closed(payload))

    def _data(self, first: int, payload: bytes) -> Event:
        if self._message is None:
            self._inflates = bool(first & 0x40)
            if first & 0x80:
                return self._text(payload)
            self._message = bytearray()
        self._message += payload
        if not first & 0x80:
            return _ALIVE
        payload, self._message = bytes(self._message), None
        return self._text(payload)

    def _text(self, payload: bytes) -> str:
        try:
            return (inflate(payload, most=self._max_size) if self._inflates else payload).decode()
        except UnicodeDecodeError:
            raise _Broken(1007, "text must be UTF-8") from None
        except Swollen as swollen:
            raise _Broken(1009, str(swollen)) from None
        except zlib.error:
            raise _Broken(1002, "what is compressed cannot be inflated") from None

    def _end(self, event: Closed | Fault) -> Event:
        self._is_over, self._message = True, None
        return event


def _long_size(data: bytes | bytearray) -> int:
    size = int.from_bytes(data, "big")
    if size <= MOST_IN_CONTROL or (len(data) > 2 and not 65_535 < size < 1 << 63):
        raise _Broken(1002, "a length must be told in as few bytes as it takes")
    return size


def _closed(payload: bytes) -> Closed:
    """Read what a close frame holds: nothing, or a code and a reason."""
    if not payload:
        return Closed(1005, payload)
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise _Broken(1007, "the reason must be UTF-8") from None
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CODES or 3000 <= code < 5000):
        raise _Broken(1002, "no such close code may be sent")
    return Closed(code, payload)
