"""What an application announces: the `Broadcastable` protocol, the `Event` model and the markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict

from broadcaster.channels import Channel

__all__ = [
    "AnonymousEvent",
    "Broadcastable",
    "Channels",
    "Event",
    "Period",
    "ShouldBeUnique",
    "ShouldBroadcastNow",
    "ShouldDispatchAfterCommit",
    "ShouldQueue",
    "ShouldRescue",
    "Via",
    "text_of",
]

Channels: TypeAlias = Channel | str | Iterable[Channel | str] | None
"""What `broadcast_on()` may return: one channel or several; None, or none at all, sends nothing."""

Period: TypeAlias = float | timedelta
"""A period: seconds, or a timedelta."""

Via: TypeAlias = str | Enum | Iterable[str | Enum] | None
"""Drivers by name: one or several; None is the default driver."""


@runtime_checkable
class Broadcastable(Protocol):
    """Anything with a `broadcast_on()` method: a pydantic model, a dataclass, a plain class.

    These hooks are optional, and looked up once for each class:

    - `broadcast_as() -> str | Enum`: the event's name, instead of the class's name.
    - `broadcast_with() -> Mapping | None`: the data, instead of the public fields.
    - `broadcast_when() -> bool`: False sends nothing.
    - `broadcast_via() -> str | Enum | Iterable | None`: drivers by name, instead of the default one.
    """

    def broadcast_on(self) -> Channels:
        """Return where this event goes."""


class Event(BaseModel):
    """A typed event: a frozen pydantic model whose fields are the data that browsers receive."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", ser_json_inf_nan="constants")

    def broadcast_on(self) -> Channels:
        """Return where this event goes; every event class overrides it."""
        raise TypeError(f"{type(self).__name__} does not say where it goes; give it a broadcast_on() method")


class AnonymousEvent:
    """An event without a class of its own: `AnonymousEvent("deploy.finished", on="lobby", data={...})`."""

    __slots__ = ("_data", "_name", "_on", "_via")

    def __init__(
        self,
        name: str | Enum,
        *,
        on: Channels,
        data: Mapping[str, Any] | None = None,
        via: Via = None,
    ) -> None:
        self._name, self._on, self._data, self._via = name, on, data, via

    def broadcast_on(self) -> Channels:
        """Return the channels given as *on*."""
        return self._on

    def broadcast_as(self) -> str | Enum:
        """Return the name."""
        return self._name

    def broadcast_with(self) -> Mapping[str, Any]:
        """Return the data; an empty object when none was given."""
        return self._data if self._data is not None else {}

    def broadcast_via(self) -> Via:
        """Return the names of the drivers, or None for the default one."""
        return self._via


class ShouldQueue:
    """Marks an event that leaves the request at once where there is a queue; a worker delivers it.

    Class attributes say how; a period is seconds, or a timedelta:

    - `queue`: the name under which it waits; workers serve queues by name.
    - `tries`: how often it is tried before it is given up.
    - `backoff`: the pauses between; the last one is repeated.
    - `delay`: how long it waits before it may be delivered at all.
    - `ttl`: how long it is worth delivering after that; None is for ever.

    A class method `failed(message, error)` is called when it is given up, by a worker that has loaded the
    class.
    """

    queue: ClassVar[str] = "default"
    tries: ClassVar[int] = 5
    backoff: ClassVar[Period | Sequence[Period]] = (1, 5, 30, 120)
    delay: ClassVar[Period] = 0
    ttl: ClassVar[Period | None] = None


class ShouldBroadcastNow:
    """Marks an event that never waits in a queue, even where its base class says `ShouldQueue`."""


class ShouldDispatchAfterCommit:
    """Marks an event that waits for the open database transaction to commit.

    A rollback forgets it. With no transaction open that the manager follows, it leaves at once.
    """


class ShouldRescue:
    """Marks an event whose delivery may fail: the failure is logged and the caller carries on."""


class ShouldBeUnique:
    """Marks an event of which at most one waits in a queue at a time: a second one is left out.

    The lock is given back when the event is done with, and after `unique_for` (seconds or a timedelta) in any
    case. Events of one class with different `unique_id()` do not hinder each other.
    """

    unique_for: ClassVar[Period] = 3_600

    def unique_id(self) -> str:
        """Return what tells this event from others of its class; by default nothing does."""
        return ""


def text_of(name: str | Enum) -> str:
    """Return the name of an event or a driver as text: an enum's is its value."""
    return str(name.value) if isinstance(name, Enum) else name
