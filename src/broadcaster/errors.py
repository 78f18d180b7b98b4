"""Every exception this package raises on purpose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

__all__ = [
    "BroadcastError",
    "ConfigurationError",
    "DeliveryError",
    "Forbidden",
    "InvalidChannelName",
    "InvalidSocketId",
    "MissingExtra",
    "ProtocolViolation",
    "UnencodableData",
    "named",
    "note_progress",
    "progress_of",
    "suggestion",
]

_MOST_SHOWN = 200
"""How much of a name that came from outside an error text repeats, in characters."""


_PROGRESS = "_broadcaster_progress"


class BroadcastError(Exception):
    """The root of every exception in this module; all of them can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


class ConfigurationError(BroadcastError, ValueError):
    """A setting is unknown, missing or contradictory; the text names it and what would be right."""


class MissingExtra(BroadcastError, ImportError):
    """An optional package is not installed; *extra* is the extra that brings it."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"{package!r} is not installed; install it with: pip install 'broadcaster-kit[{extra}]'",
            name=package,
        )
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(MissingExtra, self.name or "", extra=self.extra), ()


class InvalidChannelName(BroadcastError, ValueError):
    """A channel name breaks the protocol's rules; *channel* is the name as it was given."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"invalid channel name {_shown(channel)!r}: {reason}")
        self.channel = channel


class InvalidSocketId(BroadcastError, ValueError):
    """A socket id does not have the protocol's shape; *socket_id* is what was given."""

    def __init__(self, socket_id: str) -> None:
        wrong = f"invalid socket id {_shown(socket_id)!r}" if socket_id else "socket_id is missing"
        super().__init__(f"{wrong}: digits, a dot and digits are expected")
        self.socket_id = socket_id


class UnencodableData(BroadcastError, TypeError):
    """A value has no JSON form; *path* leads to it from the event, as in `lines[2].price`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot encode {path} as JSON: {reason}")
        self.path = path


class DeliveryError(BroadcastError):
    """A driver could not hand a message over.

    *retryable* says whether the same message may succeed later, *status* is the HTTP status of the
    answer where there was one, *driver* is the name of the driver. *failures* are those of the drivers
    that this one is made of, by name.
    """

    delivered: int = 0
    """Of several messages that a driver got together, how many it had handed over: the first ones."""

    def __init__(
        self,
        reason: str,
        *,
        driver: str,
        retryable: bool = False,
        status: int | None = None,
        failures: Mapping[str, DeliveryError] | None = None,
    ) -> None:
        super().__init__(f"driver {driver!r}: {reason}")
        self.driver = driver
        self.retryable = retryable
        self.status = status
        self.failures = dict(failures or {})

    def handed_over(self, messages: Sequence[object], count: int, *, tried: int | None = None) -> None:
        """Say that of *messages*, which a driver got together, the first *count* were handed over.

        Those beyond the first *tried* it did not come to; None where it failed at all the others together.
        """
        note_progress(self, messages, count, tried)


class Forbidden(BroadcastError):
    """Nobody gave leave; *channel* is the one that was asked for, None for a sign-in.

    The text says why, to the application: it is not for the one who asked.
    """

    def __init__(self, reason: str, *, channel: str | None) -> None:
        what = "sign in" if channel is None else f"join {_shown(channel)!r}"
        super().__init__(f"not allowed to {what}: {reason}")
        self.reason = reason
        self.channel = channel


class ProtocolViolation(BroadcastError):
    """A client broke a rule of the Pusher protocol; raised and caught inside the hub only."""

    def __init__(self, code: int, message: str, *, channel: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.channel = channel


def note_progress(
    error: Exception, messages: Sequence[object], delivered: int, tried: int | None, *, by: object = None
) -> None:
    """Have *error* say how far a driver came with *messages*; see `DeliveryError.handed_over()`."""
    if isinstance(error, DeliveryError):
        error.delivered = delivered
    tried = len(messages) if tried is None else tried
    error.__dict__[_PROGRESS] = _Progress(messages, delivered, tried, by)


def progress_of(error: Exception, messages: Sequence[object], *, by: object) -> tuple[int, int]:
    """Return how many of *messages* the driver *by* handed over, and how many it tried, those included.

    None and all of them where *error* does not say, or says it of other messages or of another driver,
    which that one handed them on to.
    """
    told: _Progress | None = error.__dict__.get(_PROGRESS)
    if told is None or told.messages is not messages or (told.by is not None and told.by is not by):
        return 0, len(messages)
    return told.delivered, told.tried


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a driver came with messages; it stays behind where the error goes to another process."""

    messages: Sequence[object] | None = None
    delivered: int = 0
    tried: int = 0
    by: object = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Progress, ()


def named(names: Iterable[str]) -> str:
    """List *names* for an error text: quoted, sorted, `none` when there are none."""
    return ", ".join(repr(name) for name in sorted(names)) or "none"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the name that *name* looks like, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _shown(name: str) -> str:
    return name if len(name) <= _MOST_SHOWN else name[:_MOST_SHOWN] + "..."


def _restored(kind: type[BroadcastError], args: tuple[Any, ...], fields: dict[str, Any]) -> BroadcastError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error
