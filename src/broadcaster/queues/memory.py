"""A queue in the process: a thread delivers what it holds, and what it holds is lost with the process."""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from broadcaster.drivers._processes import PerProcess
from broadcaster.errors import DeliveryError
from broadcaster.queues._threads import Threads, run_alone
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import Envelope, open_envelope, seal
from broadcaster.queues.failed import MemoryFailedStore
from broadcaster.queues.locks import MemoryLocks
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.runner import Drivers, Runner, Span

__all__ = ["MemoryQueue"]

_logger = logging.getLogger("broadcaster.queue")

_AT_ONCE = 100
_WAIT_SECONDS = 5.0


class MemoryQueue:
    """Holds up to *size* envelopes; a thread, which starts with the first, delivers them through *drivers*.

    When it is full, *overflow* says what happens: "raise" a `DeliveryError`, "wait" for room (five seconds,
    then raise), or "drop" the new ones, counted in the log. What is pushed together is taken together, or not
    at all, unless it is dropped. `close()`, which happens at the end of the process too, delivers what is due
    for up to *close_seconds*; what is left is lost, and said so. Those that were given up are in `failed`.
    """

    name = "memory"
    capabilities = Capabilities(durable=False, priorities=False)

    def __init__(
        self,
        drivers: Drivers,
        *,
        span: Span | None = None,
        size: int = 10_000,
        overflow: Literal["raise", "wait", "drop"] = "raise",
        close_seconds: float = 5.0,
    ) -> None:
        self.failed = MemoryFailedStore()
        self._size = size
        self._overflow = overflow
        self._close_seconds = close_seconds
        self._dropped = 0
        runner = Runner(drivers, self.failed, release=self.release, span=span)
        # Neither a thread nor what it holds comes along into a process that forks off.
        self._held = PerProcess(lambda: _Held(runner, size, lambda: atexit.register(self._end)))
        self._ends = False
        self._threads = Threads()

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`."""
        held = self._held.value
        wanted = [(envelope, seal(envelope)) for envelope in envelopes]
        wanted = [(envelope, body) for envelope, body in wanted if held.locks.take(envelope)]
        if len(wanted) > self._size and self._overflow != "drop":
            self._unlock(held, wanted)
            reason = (
                f"{len(wanted):,} events are more than the {self._size:,} that it holds; send fewer at once"
            )
            raise DeliveryError(reason, driver="queue memory")
        # Nobody comes after this to wait for a thread then, and a new one may be refused.
        is_ending = self._ends or not threading.main_thread().is_alive()
        try:
            left = held.put(
                [(envelope.delay, body) for envelope, body in wanted],
                seconds=_WAIT_SECONDS if self._overflow == "wait" else 0,
                some=self._overflow == "drop",
                start=not is_ending,
            )
        except RuntimeError as error:
            self._unlock(held, wanted)
            reason = f"it has no thread to deliver them: {error}"
            raise DeliveryError(reason, driver="queue memory", retryable=True) from error
        if left:
            self._unlock(held, wanted[-left:])
            self._overflows(left)
        if is_ending and held.deliver_here(self._close_seconds):
            self.close()

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.apush()`."""
        if self._overflow == "wait":
            await self._threads.run(self.push, envelopes)
        else:
            self.push(envelopes)

    def release(self, envelope: Envelope) -> None:
        """See `Queue.release()`."""
        self._held.value.locks.give_back(envelope)

    def close(self) -> None:
        """Deliver what is due, for up to *close_seconds*, and end the thread; the rest is lost.

        In that thread itself, of a hook say, it does nothing.
        """
        held = self._held.held
        if held is not None and held.is_own_thread():
            return
        # Before it ends: what starts it again registers again.
        atexit.unregister(self._end)
        self._threads.close()
        if held is not None and (lost := held.stop(self._close_seconds)):
            _logger.error("%d events are lost, which the queue in memory could not deliver in time", lost)

    async def aclose(self) -> None:
        """See `close()`."""
        await run_alone(self.close)

    def _end(self) -> None:
        self._ends = True
        self.close()

    def _unlock(self, held: _Held, wanted: Sequence[tuple[Envelope, bytes]]) -> None:
        for envelope, _ in wanted:
            held.locks.give_back(envelope)

    def _overflows(self, count: int) -> None:
        if self._overflow != "drop":
            raise DeliveryError("it is full", driver="queue memory", retryable=True)
        before, self._dropped = self._dropped, self._dropped + count
        if before == 0 or before // 1_000 != self._dropped // 1_000:
            _logger.error("the queue in memory is full; events dropped: %d", self._dropped)


class _Held:
    """What one process holds, and the thread that delivers it."""

    def __init__(self, runner: Runner, size: int, started: Callable[[], object]) -> None:
        self._started = started
        self.locks = MemoryLocks()
        self._runner = runner
        self._size = size
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, bytes]] = []
        self._running = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        """Whoever is not it any more, comes to an end."""

    def put(self, entries: Sequence[tuple[float, bytes]], *, seconds: float, some: bool, start: bool) -> int:
        """Take *entries*, of which each is due after a delay; return how many were left out.

        That is all, or none, or with *some* the last for which there is no room. With *start*, the thread is
        started where there is none; raises `RuntimeError` where it cannot be.
        """
        with self._changed:
            if seconds and not self.is_own_thread():  # for the thread that makes room, nobody else will
                self._changed.wait_for(lambda: self._room() >= len(entries), seconds)
            count = len(entries) if len(entries) <= (room := self._room()) else room if some else 0
            if count and start and not self._has_thread():
                self._start()
            self._add(entries[:count])
            self._changed.notify_all()
            return len(entries) - count

    def stop(self, seconds: float) -> int:
        """Wait until nothing is due, and end the thread; return how many envelopes are lost."""
        until = time.monotonic() + seconds
        with self._changed:
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._running and not self._is_due(), seconds)
            thread, self._thread = self._thread, None
            self._changed.notify_all()
            lost, self._waiting, self._running = len(self._waiting) + self._running, [], 0
            # What is lost must keep nothing out that comes after it.
            self.locks = MemoryLocks()
        if thread is not None:
            thread.join(max(0.0, until - time.monotonic()))
        return lost

    def deliver_here(self, seconds: float) -> bool:
        """Deliver what is due in this thread, for up to *seconds*; False where there is one that does it."""
        until = time.monotonic() + seconds
        with self._changed:
            if self._has_thread():
                return False
            self._thread = threading.current_thread()
        try:
            while time.monotonic() < until and self._is_due():
                self._deliver(self._take(1))
        finally:
            with self._changed:
                if self.is_own_thread():
                    self._thread = None
        return True

    def is_own_thread(self) -> bool:
        """Whether this thread is the one that delivers."""
        return self._thread is threading.current_thread()

    def _add(self, entries: Iterable[tuple[float, bytes]]) -> None:
        now = time.monotonic()
        for delay, body in entries:
            heapq.heappush(self._waiting, (now + delay, next(self._numbers), body))

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="broadcaster-queue", daemon=True)
        thread.start()
        self._thread = thread
        self._started()

    def _run(self) -> None:
        while bodies := self._take():
            self._deliver(bodies)

    def _deliver(self, bodies: Sequence[bytes]) -> None:
        outcomes: Sequence[Outcome] = ()
        try:
            outcomes = self._runner.run_many((body, 0) for body in bodies)
        except BaseException:
            # Also what would end a thread, since nobody else delivers.
            _logger.exception("%d events may be lost, at which the queue in memory broke", len(bodies))
            for body in bodies:
                # What is lost must keep nothing out that comes after it.
                self.locks.give_back(open_envelope(body))
        with self._changed:
            if self.is_own_thread():
                self._running = 0
                again = [(one.pause, seal(one.again)) for one in outcomes if one.again is not None]
                self._add(again)
            self._changed.notify_all()

    def _take(self, most: int = _AT_ONCE) -> list[bytes]:
        """Wait until something is due, and return it; nothing at the end."""
        with self._changed:
            while self.is_own_thread() and not self._is_due():
                self._changed.wait(self._waiting[0][0] - time.monotonic() if self._waiting else None)
            taken: list[bytes] = []
            while self.is_own_thread() and self._is_due() and len(taken) < most:
                taken.append(heapq.heappop(self._waiting)[2])
            if taken:
                self._running = len(taken)
            self._changed.notify_all()
            return taken

    def _room(self) -> int:
        return max(0, self._size - len(self._waiting))

    def _has_thread(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _is_due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= time.monotonic()
