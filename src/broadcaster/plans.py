"""What sending an event comes to: one message, the drivers that carry it, and how it gets to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from inspect import iscoroutinefunction
from operator import methodcaller
from typing import Any, NamedTuple

from broadcaster._classes import once_per_class
from broadcaster.channels import Channel, check_name
from broadcaster.context import socket_of_request
from broadcaster.encoding import encode, fields_of
from broadcaster.events import (
    Broadcastable,
    Channels,
    ShouldBeUnique,
    ShouldDispatchAfterCommit,
    ShouldRescue,
    Via,
    text_of,
)
from broadcaster.messages import Message
from broadcaster.queues.hand_off import HandOff, hand_off_of

__all__ = ["Plan", "driver_names", "plan_of"]


class Plan(NamedTuple):
    """What sending *event* comes to: one message, and the names of the drivers that carry it.

    With a *hand_off* it may go through a queue, under the lock *unique_id* if there is one. What goes wrong
    is logged, and not raised, with *rescue*, and where it is *late*: after a commit.
    """

    event: Broadcastable
    message: Message
    drivers: tuple[str, ...]
    rescue: bool
    after_commit: bool = False
    hand_off: HandOff | None = None
    unique_id: str | None = None
    late: bool = False


def plan_of(event: Broadcastable, *, to_others: bool, via: Via, default: str) -> Plan | None:
    """Decide what sending *event* means; None when it goes nowhere.

    *default* is the driver of those that name none. Raises `InvalidChannelName`, `UnencodableData`, or
    TypeError for what is no event.
    """
    hooks = _hooks_of(type(event))
    if hooks.when is not None and not hooks.when(event):
        return None
    channels = _channel_names(hooks.on(event), type(event))
    if not channels:
        return None
    message = Message(
        name=_name(event, hooks),
        channels=channels,
        data=_data(event, hooks),
        except_socket=socket_of_request() if to_others else None,
    )
    if via is None and hooks.via is not None:
        via = hooks.via(event)
    names = driver_names(via) or (default,)
    unique_id = None if hooks.unique_id is None or hooks.hand_off is None else str(hooks.unique_id(event))
    return Plan(event, message, names, hooks.rescue, hooks.after_commit, hooks.hand_off, unique_id)


def driver_names(via: Via) -> tuple[str, ...]:
    """Return the names that *via* stands for, each once."""
    if via is None:
        return ()
    names = [via] if isinstance(via, str | Enum) else via
    return tuple(dict.fromkeys(map(text_of, names)))


@dataclass(frozen=True, slots=True)
class _Hooks:
    """The hooks of one class of events, found once."""

    on: Callable[[Any], Channels]
    named: Callable[[Any], str | Enum] | None
    data: Callable[[Any], Mapping[str, Any] | None] | None
    when: Callable[[Any], bool] | None
    via: Callable[[Any], Via] | None
    unique_id: Callable[[Any], str] | None
    hand_off: HandOff | None
    rescue: bool
    after_commit: bool


@once_per_class
def _hooks_of(cls: type) -> _Hooks:
    on = _hook(cls, "broadcast_on")
    if on is None:
        if issubclass(cls, type):
            raise TypeError("an event is an object, not a class; send an instance of the class")
        raise TypeError(f"{cls.__name__} is not broadcastable; give it a broadcast_on() method")
    return _Hooks(
        on=on,
        named=_hook(cls, "broadcast_as"),
        data=_hook(cls, "broadcast_with"),
        when=_hook(cls, "broadcast_when"),
        via=_hook(cls, "broadcast_via"),
        unique_id=_hook(cls, "unique_id") if issubclass(cls, ShouldBeUnique) else None,
        hand_off=hand_off_of(cls),
        rescue=issubclass(cls, ShouldRescue),
        after_commit=issubclass(cls, ShouldDispatchAfterCommit),
    )


def _hook(cls: type, name: str) -> Callable[[Any], Any] | None:
    found = getattr(cls, name, None)
    if found is None:
        return None
    # The coroutine of an async broadcast_when() would count as true.
    if not callable(found) or iscoroutinefunction(found):
        raise TypeError(f"{cls.__name__}.{name} must be a plain method: neither a value nor async")
    # Not *found* itself, which takes no event where it is a static method or a class method.
    return methodcaller(name)


def _name(event: Broadcastable, hooks: _Hooks) -> str:
    if hooks.named is None:
        return type(event).__name__
    given: object = hooks.named(event)
    name = text_of(given) if isinstance(given, str | Enum) else None
    if not name:
        raise TypeError(f"{type(event).__name__}.broadcast_as() returned {given!r}; return a name")
    return name


def _channel_names(channels: object, cls: type) -> tuple[str, ...]:
    match channels:
        case None:
            return ()
        case Channel() | str():
            return (_channel_name(channels, cls),)
    # The keys of a mapping would be taken for public channels; Laravel's map drivers to channels.
    if not isinstance(channels, Iterable) or isinstance(channels, Mapping):
        raise _no_channel(channels, cls)
    # A dict keeps the order and drops a channel named twice: browsers would get the message twice.
    return tuple(dict.fromkeys(_channel_name(channel, cls) for channel in channels))


def _channel_name(channel: object, cls: type) -> str:
    match channel:
        case Channel():
            return channel.name
        case str():
            return check_name(channel)
    raise _no_channel(channel, cls)


def _no_channel(given: object, cls: type) -> TypeError:
    return TypeError(f"{cls.__name__}.broadcast_on() returned {given!r}; return channels or their names")


def _data(event: Broadcastable, hooks: _Hooks) -> str:
    data = hooks.data(event) if hooks.data is not None else None
    return encode(fields_of(event) if data is None else data, root=type(event).__name__)
