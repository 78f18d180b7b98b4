"""The end of every queue: an envelope is delivered, tried again later, or given up."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from broadcaster.drivers.base import Driver
from broadcaster.errors import BroadcastError, DeliveryError, progress_of
from broadcaster.queues._hooks import tell_class
from broadcaster.queues._work import Group, Job, Work
from broadcaster.queues.envelopes import SPARE, Envelope, UnreadableEnvelope, open_envelope
from broadcaster.queues.failed import Failed, FailedStore
from broadcaster.queues.outcomes import Outcome, Verdict
from broadcaster.signals import Signal, failed, gave_up, sending, sent

__all__ = ["Drivers", "Runner", "Span"]

_logger = logging.getLogger("broadcaster.queue")

_JITTER = 0.2
_MOST_REASON = 500
_REST = 1.0
_NO_SPAN = nullcontext()
_NAMES = {failed: "failed", gave_up: "gave_up", sent: "sent"}

Span: TypeAlias = Callable[[str, Sequence[Envelope]], AbstractContextManager[None]]
"""Makes a span of the delivery of envelopes by the driver of that name, which happens inside."""


class Drivers(Protocol):
    """Where the runner finds drivers: the manager."""

    def driver(self, name: str) -> Driver:
        """Return the driver of that name; raise `ConfigurationError` for an unknown one."""
        ...


class Runner:
    """Delivers envelopes through *drivers*; those that are given up go to the *store* of what failed.

    Without one, that is left to the engine. *release* gives the lock of an envelope back.
    """

    def __init__(
        self,
        drivers: Drivers,
        store: FailedStore | None,
        *,
        release: Callable[[Envelope], None],
        span: Span | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._drivers = drivers
        self._store = store
        self._release = release
        self._span = span
        self._clock = clock

    def run(self, body: bytes, *, attempt: int = 0) -> Outcome:
        """Deliver one envelope; *attempt* is the engine's own count, where it has one."""
        return self.run_many([(body, attempt)])[0]

    async def arun(self, body: bytes, *, attempt: int = 0) -> Outcome:
        """Like `run()`, without blocking the event loop."""
        return (await self.arun_many([(body, attempt)]))[0]

    def run_many(self, jobs: Iterable[tuple[bytes, int]]) -> list[Outcome]:
        """Deliver several, those for one driver as a batch; the outcomes are in the order of *jobs*."""
        work = self._work(jobs)
        while (group := work.next()) is not None:
            messages, driver = group.messages, None
            try:
                self._announce(sending, group)
                with self._spanned(group):
                    driver = self._drivers.driver(group.driver)
                    if len(messages) == 1:
                        driver.deliver(messages[0])
                    else:
                        driver.deliver_many(messages)
            except BroadcastError as error:
                self._stopped(work, group, progress_of(error, messages, by=driver), error)
            except Exception as error:
                _logger.exception("driver %r broke", group.driver)
                progress = progress_of(error, messages, by=driver)
                self._stopped(work, group, progress, _broken(group, error), broke=True)
            else:
                self._deliver(work, group)
        return work.outcomes

    async def arun_many(self, jobs: Iterable[tuple[bytes, int]]) -> list[Outcome]:
        """Like `run_many()`, without blocking the event loop."""
        work = self._work(jobs)
        while (group := work.next()) is not None:
            messages, driver = group.messages, None
            try:
                self._announce(sending, group)
                with self._spanned(group):
                    driver = self._drivers.driver(group.driver)
                    if len(messages) == 1:
                        await driver.adeliver(messages[0])
                    else:
                        await driver.adeliver_many(messages)
            except BroadcastError as error:
                self._stopped(work, group, progress_of(error, messages, by=driver), error)
            except Exception as error:
                _logger.exception("driver %r broke", group.driver)
                progress = progress_of(error, messages, by=driver)
                self._stopped(work, group, progress, _broken(group, error), broke=True)
            else:
                self._deliver(work, group)
        return work.outcomes

    def run_alone(self, body: bytes, lost: int) -> Outcome:
        """Deliver what *lost* workers had, and never finished; give it up where that were too many.

        It may have ended them: more than it has tries, and two more, it does not get.
        """
        try:
            tries = open_envelope(body).tries
        except UnreadableEnvelope as unreadable:
            return self._unreadable(body, unreadable)
        if lost >= tries + SPARE:
            return self.abandon(body, f"it has ended the {lost} workers that took it")
        return self.run(body)

    def abandon(self, body: bytes, reason: str) -> Outcome:
        """Give up a job that its engine will not try again: one that ended each worker that took it."""
        try:
            envelope = open_envelope(body)
        except UnreadableEnvelope as unreadable:
            return self._unreadable(body, unreadable)
        return self._give_up(Job(0, body, envelope), BroadcastError(reason))

    def _work(self, jobs: Iterable[tuple[bytes, int]]) -> Work:
        work, now = Work(), self._clock()
        for body, attempt in jobs:
            try:
                envelope = open_envelope(body)
            except UnreadableEnvelope as unreadable:
                work.settle(self._unreadable(body, unreadable))
                continue
            if envelope.expires is not None and now >= envelope.expires:
                work.settle(self._expired(envelope))
                continue
            work.add(body, replace(envelope, attempt=attempt) if attempt else envelope)
        return work

    def _deliver(self, work: Work, group: Group) -> None:
        work.succeeds(group.driver)
        for job in group.jobs:
            self._unlock(job.envelope)
            work.settle(Outcome(Verdict.DELIVERED, job.envelope), job)
        self._tell(sent, group)

    def _stopped(
        self,
        work: Work,
        group: Group,
        progress: tuple[int, int],
        error: BroadcastError,
        *,
        broke: bool = False,
    ) -> None:
        """Settle what was delivered before the *error*, fail what it is about, and go on with what is left.

        Where nothing comes through, the peer may be away: what is left waits, and nothing is charged for it.
        """
        delivered, tried = progress
        done, others = group.divided(delivered)
        blamed, left = others.divided(max(1, tried - delivered))
        if done.jobs:
            self._deliver(work, done)
        is_away = not broke and _is_retryable(error) and work.fails(group.driver)
        self._fail(work, blamed, error, broke=broke)
        if is_away:
            for job in left.jobs:
                pause = max(_REST, self._pause(job.envelope))
                reason = f"it waits, since one before it failed: {_reason(error)}"[:_MOST_REASON]
                work.settle(Outcome(Verdict.RETRY, job.envelope, reason, job.envelope, pause), job)
        elif left.jobs:
            work.go_on(left)

    def _fail(self, work: Work, group: Group, error: BroadcastError, *, broke: bool = False) -> None:
        retryable = _is_retryable(error)
        if len(group.jobs) > 1 and (broke or not retryable):
            work.split(group)
            return
        self._tell(failed, group, error=error)
        for job in group.jobs:
            envelope = job.envelope
            if not retryable or envelope.attempt >= envelope.tries:
                work.settle(self._give_up(job, error), job)
                continue
            pause = self._pause(envelope)
            reason = _reason(error)
            _logger.info("%r is tried again in %.1f s: %s", envelope.message.name, pause, reason)
            again = replace(envelope, attempt=envelope.attempt + 1)
            work.settle(Outcome(Verdict.RETRY, envelope, reason, again, pause), job)

    def _pause(self, envelope: Envelope) -> float:
        # By chance, so that what failed together does not come back together.
        jitter = random.uniform(-_JITTER, _JITTER)  # noqa: S311 - nobody has to guess it
        return envelope.pause(envelope.attempt) * (1 + jitter)

    def _give_up(self, job: Job, error: BroadcastError) -> Outcome:
        envelope, reason = job.envelope, _reason(error)
        name, driver = envelope.message.name, envelope.driver
        given_up = self._kept(Failed(job.body, reason, self._clock(), envelope.queue, name, driver))
        level = logging.WARNING if envelope.rescue else logging.ERROR
        _logger.log(level, "%r was given up, at attempt %d: %s", name, envelope.attempt, reason)
        # Before the hook, which may well send another one like it.
        self._unlock(envelope)
        self._tell(gave_up, Group(driver, [job]), error=error)
        tell_class(envelope, error)
        return Outcome(Verdict.FAILED, envelope, reason, failed=given_up)

    def _kept(self, given_up: Failed) -> Failed:
        if self._store is not None:
            self._store.add(given_up)
        return given_up

    def _expired(self, envelope: Envelope) -> Outcome:
        _logger.info("%r is not delivered any more: its time to live is over", envelope.message.name)
        self._unlock(envelope)
        return Outcome(Verdict.EXPIRED, envelope, "its time to live is over")

    def _unreadable(self, body: bytes, unreadable: UnreadableEnvelope) -> Outcome:
        _logger.error("what a queue held is no envelope, and counts as failed: %s", unreadable)
        given_up = self._kept(Failed(body, str(unreadable), self._clock()))
        return Outcome(Verdict.UNREADABLE, reason=str(unreadable), failed=given_up)

    def _unlock(self, envelope: Envelope) -> None:
        try:
            self._release(envelope)
        except (DeliveryError, OSError) as error:
            # Raised, it would have the event delivered once more.
            _logger.warning("the lock %r stays until its time is over: %s", envelope.unique, error)

    def _tell(self, signal: Signal, group: Group, **more: Any) -> None:
        """Announce what has happened: whatever a receiver raises, that is so."""
        for job in group.jobs if signal.receivers else ():
            try:
                self._announce(signal, Group(group.driver, [job]), **more)
            except Exception:
                _logger.exception("a receiver of the signal %r broke", _NAMES[signal])

    def _spanned(self, group: Group) -> AbstractContextManager[None]:
        return _NO_SPAN if self._span is None else self._span(group.driver, group.envelopes)

    def _announce(self, signal: Signal, group: Group, **more: Any) -> None:
        if signal.receivers:
            for message in group.messages:
                signal.send(self._drivers, event=None, message=message, driver=group.driver, **more)


def _is_retryable(error: BroadcastError) -> bool:
    return isinstance(error, DeliveryError) and error.retryable


def _reason(error: BroadcastError) -> str:
    """Return what *error* says, so that it can be kept: no longer than that, and in UTF-8."""
    return str(error)[:_MOST_REASON].encode(errors="backslashreplace").decode()


def _broken(group: Group, error: Exception) -> DeliveryError:
    return DeliveryError(f"it broke: {type(error).__name__}", driver=group.driver, retryable=True)
