"""From an event to a message, and from a message to the drivers that carry it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from inspect import iscoroutinefunction
from operator import methodcaller
from typing import Any, Protocol, TypeAlias

from broadcaster._classes import once_per_class
from broadcaster.channels import Channel, check_name
from broadcaster.context import socket_of_request
from broadcaster.drivers.base import Driver
from broadcaster.encoding import encode, fields_of
from broadcaster.errors import DeliveryError
from broadcaster.events import (
    Broadcastable,
    Channels,
    ShouldDispatchAfterCommit,
    ShouldRescue,
    Via,
    text_of,
)
from broadcaster.messages import Message
from broadcaster.signals import Signal, failed, sending, sent
from broadcaster.transactions import Transactions

__all__ = ["Dispatcher", "Drivers", "Plan", "Span"]

_logger = logging.getLogger("broadcaster")

# Raised, it would look like a commit that went wrong.
_LOST = "%r could not all be broadcast after the commit"


_NO_SPAN = nullcontext()

Span: TypeAlias = Callable[[str, Sequence[Message]], AbstractContextManager[None]]
"""Makes a span of the delivery of messages by the driver of that name, which happens inside."""


class Drivers(Protocol):
    """Where the dispatcher finds its drivers: the manager."""

    default: str

    def driver(self, name: str) -> Driver:
        """Return the driver of that name; raise `ConfigurationError` for an unknown one."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What sending *event* comes to: one message, and the names of the drivers that carry it."""

    event: Broadcastable
    message: Message
    drivers: tuple[str, ...]
    rescue: bool
    after_commit: bool = False


class Dispatcher:
    """Turns events into plans, and carries plans out through *drivers*; each delivery is a *span*."""

    def __init__(self, drivers: Drivers, *, span: Span | None = None) -> None:
        self._drivers = drivers
        self._span = span
        self.transactions = Transactions()

    def plan(self, event: Broadcastable, *, to_others: bool = False, via: Via = None) -> Plan | None:
        """Decide what sending *event* means, without sending anything; None when it goes nowhere.

        Raises `InvalidChannelName`, `UnencodableData`, or TypeError for what is no event.
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
        names = _driver_names(via) or (self._drivers.default,)
        return Plan(event, message, names, hooks.rescue, hooks.after_commit)

    def plans(
        self, events: Iterable[Broadcastable], *, to_others: bool = False, via: Via = None
    ) -> list[Plan]:
        """Plan *events* in order, leaving out those that go nowhere; see `plan()`."""
        via = None if via is None else _driver_names(via)
        planned = (self.plan(event, to_others=to_others, via=via) for event in events)
        return [plan for plan in planned if plan is not None]

    def defer(self, plans: Sequence[Plan]) -> Sequence[Plan]:
        """Hand over what waits for a commit to the open transaction, if there is one; return the rest."""
        # A commit has no way back, so a failure after it is logged, as that of a rescued event.
        waiting = [replace(plan, rescue=True) for plan in plans if plan.after_commit]
        transaction = self.transactions.current() if waiting else None
        if transaction is None:
            return plans
        transaction.after_commit(lambda: self._carry_late(waiting), lambda: self._acarry_late(waiting))
        return [plan for plan in plans if not plan.after_commit]

    def carry(self, plans: Sequence[Plan]) -> None:
        """Deliver what *plans* say, each driver's messages in one batch.

        Every driver is tried; the first `DeliveryError` is raised at the end.
        """
        errors: list[DeliveryError] = []
        for name, (driver, batch) in self._batches(plans).items():
            self._announce(sending, name, batch)
            try:
                with self._spanned(name, batch):
                    if len(batch) == 1:
                        driver.deliver(batch[0].message)
                    else:
                        driver.deliver_many([plan.message for plan in batch])
            except DeliveryError as error:
                errors += self._announce_failed(name, batch, error)
            else:
                self._announce(sent, name, batch)
        _raise_first(errors)

    async def acarry(self, plans: Sequence[Plan]) -> None:
        """Like `carry()`, without blocking the event loop."""
        errors: list[DeliveryError] = []
        for name, (driver, batch) in self._batches(plans).items():
            self._announce(sending, name, batch)
            try:
                with self._spanned(name, batch):
                    if len(batch) == 1:
                        await driver.adeliver(batch[0].message)
                    else:
                        await driver.adeliver_many([plan.message for plan in batch])
            except DeliveryError as error:
                errors += self._announce_failed(name, batch, error)
            else:
                self._announce(sent, name, batch)
        _raise_first(errors)

    def _carry_late(self, plans: Sequence[Plan]) -> None:
        try:
            self.carry(plans)
        except Exception:
            _logger.exception(_LOST, [plan.message.name for plan in plans])

    async def _acarry_late(self, plans: Sequence[Plan]) -> None:
        try:
            await self.acarry(plans)
        except Exception:
            _logger.exception(_LOST, [plan.message.name for plan in plans])

    def _batches(self, plans: Sequence[Plan]) -> dict[str, tuple[Driver, list[Plan]]]:
        """Return every driver with what it carries; an unknown one raises before anything is delivered."""
        batches: dict[str, tuple[Driver, list[Plan]]] = {}
        for plan in plans:
            for name in plan.drivers:
                if name not in batches:
                    batches[name] = (self._drivers.driver(name), [])
                batches[name][1].append(plan)
        return batches

    def _spanned(self, name: str, batch: Sequence[Plan]) -> AbstractContextManager[None]:
        return _NO_SPAN if self._span is None else self._span(name, [plan.message for plan in batch])

    def _announce(self, signal: Signal, name: str, batch: Sequence[Plan]) -> None:
        if signal.receivers:
            for plan in batch:
                signal.send(self._drivers, event=plan.event, message=plan.message, driver=name)

    def _announce_failed(self, name: str, batch: Sequence[Plan], error: DeliveryError) -> list[DeliveryError]:
        """Return the error for the caller, or nothing when every event of the batch is rescued."""
        for plan in batch:
            failed.send(self._drivers, event=plan.event, message=plan.message, driver=name, error=error)
            if plan.rescue:
                _logger.error("%r was not broadcast by driver %r: %s", plan.message.name, name, error)
        return [] if all(plan.rescue for plan in batch) else [error]


@dataclass(frozen=True, slots=True)
class _Hooks:
    """The hooks of one class of events, found once."""

    on: Callable[[Any], Channels]
    named: Callable[[Any], str | Enum] | None
    data: Callable[[Any], Mapping[str, Any] | None] | None
    when: Callable[[Any], bool] | None
    via: Callable[[Any], Via] | None
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


def _driver_names(via: Via) -> tuple[str, ...]:
    if via is None:
        return ()
    names = [via] if isinstance(via, str | Enum) else via
    return tuple(dict.fromkeys(map(text_of, names)))


def _raise_first(errors: list[DeliveryError]) -> None:
    if errors:
        first, *others = errors
        for other in others:
            first.add_note(f"also: {other}")
        raise first
