"""How an event wants to be handed over, as its class says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any

from broadcaster._classes import once_per_class
from broadcaster.events import ShouldBeUnique, ShouldBroadcastNow, ShouldQueue
from broadcaster.messages import Message
from broadcaster.queues.envelopes import MOST_TRIES, Envelope

__all__ = ["HandOff", "hand_off_of"]


@dataclass(frozen=True, slots=True)
class HandOff:
    """What a class of events says about its queue; periods are seconds. See `ShouldQueue`."""

    event: str
    queue: str
    tries: int
    backoff: tuple[float, ...]
    delay: float
    ttl: float | None
    unique_for: float | None

    def envelope(self, message: Message, driver: str, *, now: float, unique_id: str | None) -> Envelope:
        """Return *message* for *driver*, as it is to be queued at the Unix time *now*."""
        return Envelope(
            message,
            driver,
            queue=self.queue,
            created=now,
            delay=self.delay,
            expires=None if self.ttl is None else now + self.delay + self.ttl,
            tries=self.tries,
            backoff=self.backoff,
            # For each driver one of its own: what one has delivered may still wait for the other.
            unique=None if unique_id is None else f"{self.event}:{driver}:{unique_id}",
            unique_for=self.unique_for or 0.0,
            event=self.event,
        )


@once_per_class
def hand_off_of(cls: type) -> HandOff | None:
    """Return how events of *cls* are queued; None for those that are delivered at once.

    Raises TypeError for an attribute that makes no sense.
    """
    if not issubclass(cls, ShouldQueue) or issubclass(cls, ShouldBroadcastNow):
        return None
    if iscoroutinefunction(getattr(cls, "failed", None)):
        raise TypeError(f"{cls.__name__}.failed must be a plain method, not async: a worker calls it")
    return HandOff(
        event=f"{cls.__module__}:{cls.__qualname__}",
        queue=_queue(cls),
        tries=_tries(cls),
        backoff=_backoff(cls),
        delay=_seconds(cls, "delay", cls.delay),
        ttl=_ttl(cls),
        unique_for=_seconds(cls, "unique_for", cls.unique_for) if issubclass(cls, ShouldBeUnique) else None,
    )


def _queue(cls: type[ShouldQueue]) -> str:
    queue: object = cls.queue
    if not isinstance(queue, str) or not queue or "," in queue or queue != queue.strip():
        raise TypeError(
            f"{cls.__name__}.queue is {queue!r}; name a queue, without a comma or spaces around it"
        )
    return queue


def _tries(cls: type[ShouldQueue]) -> int:
    tries: object = cls.tries
    if not isinstance(tries, int) or isinstance(tries, bool) or not 1 <= tries <= MOST_TRIES:
        raise TypeError(f"{cls.__name__}.tries is {tries!r}; how often is a number from 1 to {MOST_TRIES:,}")
    return tries


def _backoff(cls: type[ShouldQueue]) -> tuple[float, ...]:
    backoff: Any = cls.backoff
    pauses = backoff if isinstance(backoff, Iterable) and not isinstance(backoff, str) else [backoff]
    return tuple(_seconds(cls, "backoff", pause) for pause in pauses)


def _ttl(cls: type[ShouldQueue]) -> float | None:
    ttl = None if cls.ttl is None else _seconds(cls, "ttl", cls.ttl)
    if ttl == 0:
        raise TypeError(
            f"{cls.__name__}.ttl is 0, with which none is delivered; give more, or None for no end"
        )
    return ttl


def _seconds(cls: type, name: str, given: object) -> float:
    if isinstance(given, timedelta):
        given = given.total_seconds()
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 <= given < 10**9:
        raise TypeError(f"{cls.__name__}.{name} is {given!r}; give seconds, or a timedelta")
    return float(given)
