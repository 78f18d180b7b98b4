"""From an event to a message, and from a message to the drivers that carry it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol, TypeAlias

from broadcaster.context import trace_headers
from broadcaster.drivers.base import Driver
from broadcaster.errors import DeliveryError
from broadcaster.events import Broadcastable, Via
from broadcaster.messages import Message
from broadcaster.plans import Plan, driver_names, plan_of
from broadcaster.queues.base import Queue
from broadcaster.queues.envelopes import Envelope
from broadcaster.signals import Signal, failed, queued, sending, sent
from broadcaster.transactions import Transactions

__all__ = ["Dispatcher", "Drivers", "Span"]

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

    @property
    def queue(self) -> Queue | None:
        """What takes the events that may wait; None where the caller delivers them itself."""
        ...


class Dispatcher:
    """Turns events into plans, and carries plans out through *drivers*; each delivery is a *span*."""

    def __init__(self, drivers: Drivers, *, span: Span | None = None) -> None:
        self._drivers = drivers
        self._span = span
        self.transactions = Transactions()

    def plan(self, event: Broadcastable, *, to_others: bool = False, via: Via = None) -> Plan | None:
        """Decide what sending *event* means, without sending anything; see `plan_of()`."""
        return plan_of(event, to_others=to_others, via=via, default=self._drivers.default)

    def plans(
        self, events: Iterable[Broadcastable], *, to_others: bool = False, via: Via = None
    ) -> list[Plan]:
        """Plan *events* in order, leaving out those that go nowhere; see `plan()`."""
        via = None if via is None else driver_names(via)
        planned = (self.plan(event, to_others=to_others, via=via) for event in events)
        return [plan for plan in planned if plan is not None]

    def defer(self, plans: Sequence[Plan]) -> Sequence[Plan]:
        """Hand over what waits for a commit to the open transaction, if there is one; return the rest."""
        # A commit has no way back, so a failure after it is logged, as that of a rescued event.
        waiting = [plan._replace(late=True) for plan in plans if plan.after_commit]
        transaction = self.transactions.current() if waiting else None
        if transaction is None:
            return plans
        transaction.after_commit(lambda: self._carry_late(waiting), lambda: self._acarry_late(waiting))
        return [plan for plan in plans if not plan.after_commit]

    def carry(self, plans: Sequence[Plan]) -> None:
        """Hand over what may wait to the queue; deliver the rest, each driver's messages in one batch.

        Everything is tried; the first `DeliveryError` is raised at the end.
        """
        errors: list[DeliveryError] = []
        queue, waiting, plans = self._divided(plans)
        batches = self._batches(plans)
        if queue is not None:
            try:
                with self._spanned(queue.name, waiting):
                    queue.push(_envelopes(waiting))
            except DeliveryError as error:
                errors += self._announce_failed(queue.name, waiting, error)
            else:
                self._announce_queued(queue.name, waiting)
        for name, (driver, batch) in batches.items():
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
        queue, waiting, plans = self._divided(plans)
        batches = self._batches(plans)
        if queue is not None:
            try:
                with self._spanned(queue.name, waiting):
                    await queue.apush(_envelopes(waiting))
            except DeliveryError as error:
                errors += self._announce_failed(queue.name, waiting, error)
            else:
                self._announce_queued(queue.name, waiting)
        for name, (driver, batch) in batches.items():
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
        except BaseException as error:
            _logger.exception(_LOST, [plan.message.name for plan in plans])
            if not isinstance(error, Exception):
                raise

    async def _acarry_late(self, plans: Sequence[Plan]) -> None:
        try:
            await self.acarry(plans)
        except BaseException as error:
            _logger.exception(_LOST, [plan.message.name for plan in plans])
            if not isinstance(error, Exception):
                raise

    def _divided(self, plans: Sequence[Plan]) -> tuple[Queue | None, Sequence[Plan], Sequence[Plan]]:
        """Return the queue, if it gets something; what that is; and what is delivered now."""
        waiting = [plan for plan in plans if plan.hand_off is not None]
        queue = self._drivers.queue if waiting else None
        if queue is None:
            return None, (), plans
        return queue, waiting, [plan for plan in plans if plan.hand_off is None]

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

    def _announce_queued(self, name: str, batch: Sequence[Plan]) -> None:
        if queued.receivers:
            for plan in batch:
                for driver in plan.drivers:
                    queued.send(
                        self._drivers, event=plan.event, message=plan.message, driver=driver, queue=name
                    )

    def _announce_failed(self, name: str, batch: Sequence[Plan], error: DeliveryError) -> list[DeliveryError]:
        """Return the error for the caller, or nothing when every event of the batch is rescued."""
        for plan in batch:
            failed.send(self._drivers, event=plan.event, message=plan.message, driver=name, error=error)
            if plan.rescue or plan.late:
                _logger.error("%r was not broadcast by driver %r: %s", plan.message.name, name, error)
        return [] if all(plan.rescue or plan.late for plan in batch) else [error]


def _envelopes(plans: Sequence[Plan]) -> list[Envelope]:
    """Return an envelope for each driver of each plan: one that fails must not have the others repeated."""
    now, trace = time.time(), trace_headers.get() or {}
    return [
        replace(
            plan.hand_off.envelope(plan.message, driver, now=now, unique_id=plan.unique_id),
            rescue=plan.rescue,
            trace=trace,
        )
        for plan in plans
        if plan.hand_off is not None
        for driver in plan.drivers
    ]


def _raise_first(errors: list[DeliveryError]) -> None:
    if errors:
        first, *others = errors
        for other in others:
            first.add_note(f"also: {other}")
        raise first
