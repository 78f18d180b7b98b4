"""What a queue keeps: a message as JSON, and how it wants to be delivered. Never a pickle, never a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from broadcaster.encoding import decode, encode
from broadcaster.errors import BroadcastError
from broadcaster.messages import Message

__all__ = ["MOST_TRIES", "SPARE", "VERSION", "Envelope", "UnreadableEnvelope", "open_envelope", "seal"]

VERSION = 1

SPARE = 2
"""How many more workers than it has tries an envelope may end."""

MOST_TRIES = 1_000_000_000
"""More than anybody waits for, and less than what engines can count to."""

_NO_TRACE: Mapping[str, str] = {}


class UnreadableEnvelope(BroadcastError, ValueError):
    """What came out of a queue is no envelope of ours, or of a version that is not known here."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A *message* for one *driver*, and its hand-off: times are Unix times, periods seconds.

    *queue* is the name under which it waits, *attempt* the number of this attempt, *tries* how many there
    may be, *backoff* the pauses between them, of which the last is repeated. After *expires* it is not
    delivered any more. *unique* is the key of the lock that it holds until it is done with, for at most
    *unique_for* seconds. *event* is the class that it came from, as `module:name`; with *rescue* nobody is
    alarmed when it is given up. *trace* are the headers of the span that sent it.
    """

    message: Message
    driver: str
    queue: str = "default"
    created: float = 0.0
    delay: float = 0.0
    expires: float | None = None
    tries: int = 1
    backoff: tuple[float, ...] = ()
    attempt: int = 1
    unique: str | None = None
    unique_for: float = 0.0
    event: str = ""
    rescue: bool = False
    trace: Mapping[str, str] = field(default_factory=lambda: _NO_TRACE)

    @property
    def due(self) -> float:
        """When it may be delivered first."""
        return self.created + self.delay

    def pause(self, attempt: int) -> float:
        """Return how long to wait after *attempt* failed."""
        return self.backoff[min(attempt, len(self.backoff)) - 1] if self.backoff else 0.0


def seal(envelope: Envelope) -> bytes:
    """Return the JSON of *envelope*."""
    message = envelope.message
    return encode(
        {
            "v": VERSION,
            "id": message.id,
            "name": message.name,
            "channels": list(message.channels),
            "data": message.data,
            "socket": message.except_socket,
            "driver": envelope.driver,
            "queue": envelope.queue,
            "created": envelope.created,
            "delay": envelope.delay,
            "expires": envelope.expires,
            "tries": envelope.tries,
            "backoff": list(envelope.backoff),
            "attempt": envelope.attempt,
            "unique": envelope.unique,
            "unique_for": envelope.unique_for,
            "event": envelope.event,
            "rescue": envelope.rescue,
            "trace": dict(envelope.trace),
        }
    ).encode()


def open_envelope(body: bytes) -> Envelope:
    """Read what `seal()` wrote; raise `UnreadableEnvelope` for anything else, without what it holds."""
    try:
        fields = decode(body)
    except ValueError:
        raise UnreadableEnvelope("it is not JSON") from None
    if not isinstance(fields, dict):
        raise UnreadableEnvelope("it is no JSON object")
    if fields.get("v") != VERSION:
        raise UnreadableEnvelope(f"its version is {fields.get('v')!r:.20}, {VERSION} is known here")
    try:
        return _read(fields)
    except KeyError as missing:
        raise UnreadableEnvelope(f"it has no field {missing}") from None
    except (AttributeError, OverflowError, TypeError, ValueError):
        raise UnreadableEnvelope("a field is not what it should be") from None


def _read(fields: Mapping[str, Any]) -> Envelope:
    message = Message(
        name=_text(fields, "name"),
        channels=tuple(_texts(fields, "channels")),
        data=_text(fields, "data"),
        except_socket=_text_or_none(fields, "socket"),
        id=_text(fields, "id"),
    )
    return Envelope(
        message,
        driver=_text(fields, "driver"),
        queue=_text(fields, "queue"),
        created=_number(fields["created"]),
        delay=_number(fields["delay"]),
        expires=None if fields["expires"] is None else _number(fields["expires"]),
        tries=_count(fields["tries"]),
        backoff=tuple(_number(pause) for pause in fields["backoff"]),
        attempt=_count(fields["attempt"]),
        unique=_text_or_none(fields, "unique"),
        unique_for=_number(fields["unique_for"]),
        event=_text(fields, "event"),
        rescue=fields["rescue"] is True,
        trace={str(name): str(value) for name, value in fields["trace"].items()},
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError("that is no number")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TRIES:
        raise TypeError("that is no number of tries")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _text_or_none(fields: Mapping[str, Any], name: str) -> str | None:
    return None if fields[name] is None else _text(fields, name)


def _texts(fields: Mapping[str, Any], name: str) -> list[str]:
    values = fields[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} is no list of texts")
    return values
