"""A queue in the process: a thread delivers what it holds, and what it holds is lost with the process."""

from __future__ import annotations

import asyncio
import atexit
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Sequence
from typing import Literal

from broadcaster.drivers._processes import PerProcess
from broadcaster.errors import DeliveryError
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import Envelope, seal
from broadcaster.queues.failed import MemoryFailedStore
from broadcaster.queues.locks import MemoryLocks
from broadcaster.queues.runner import Drivers, Runner, Span

__all__ = ["MemoryQueue"]

_logger = logging.getLogger("broadcaster.queue")

_AT_ONCE = 100
_WAIT_SECONDS = 5.0


class MemoryQueue:
    """Holds up to *size* envelopes; a thread, which starts with the first, delivers them through *drivers*.

    When it is full, *overflow* says what happens: "raise" a `DeliveryError`, "wait" for room (five seconds,
    then raise), or "drop" the new one, counted in the log. `close()`, which happens at the end of the process
    too, delivers what is due for up to *close_seconds*; what is left is lost, and said so. Those that were
    given up are in `failed`.
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
        self._locks = MemoryLocks()
        self._overflow = overflow
        self._close_seconds = close_seconds
        self._dropped = 0
        runner = Runner(drivers, self.failed, release=self.release, span=span)
        # A thread does not come along into a process that forks off.
        self._held = PerProcess(lambda: _Held(runner, size))

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`."""
        held = self._held.value
        for envelope in envelopes:
            if not held.has_room(_WAIT_SECONDS if self._overflow == "wait" else 0):
                self._overflows()
            elif self._locks.take(envelope):
                held.put(envelope, time.time() + envelope.delay)
        if held.start():
            atexit.register(self.close)

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.apush()`."""
        if self._overflow == "wait":
            await asyncio.to_thread(self.push, envelopes)
        else:
            self.push(envelopes)

    def release(self, envelope: Envelope) -> None:
        """See `Queue.release()`."""
        self._locks.give_back(envelope)

    def close(self) -> None:
        """Deliver what is due, for up to *close_seconds*, and end the thread; the rest is lost."""
        if (held := self._held.held) is not None and (lost := held.stop(self._close_seconds)):
            _logger.error("%d events are lost, which the queue in memory could not deliver in time", lost)
        atexit.unregister(self.close)

    async def aclose(self) -> None:
        """See `close()`."""
        await asyncio.to_thread(self.close)

    def _overflows(self) -> None:
        if self._overflow != "drop":
            raise DeliveryError("it is full", driver="queue memory", retryable=True)
        self._dropped += 1
        if self._dropped == 1 or self._dropped % 1_000 == 0:
            _logger.error("the queue in memory is full; events dropped: %d", self._dropped)


class _Held:
    """What one process holds, and the thread that delivers it."""

    def __init__(self, runner: Runner, size: int) -> None:
        self._runner = runner
        self._size = size
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Envelope]] = []
        self._running = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        """Whoever is not it any more, comes to an end."""

    def has_room(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self._waiting) < self._size, seconds)

    def put(self, envelope: Envelope, due: float) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (due, next(self._numbers), envelope))
            self._changed.notify_all()

    def start(self) -> bool:
        """Start the thread, unless it runs."""
        with self._changed:
            if self._thread is not None or not self._waiting:
                return False
            self._thread = threading.Thread(target=self._run, name="broadcaster-queue", daemon=True)
            self._thread.start()
            return True

    def stop(self, seconds: float) -> int:
        """Wait until nothing is due, and end the thread; return how many envelopes are lost."""
        with self._changed:
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._running and not self._is_due(), seconds)
            thread, self._thread = self._thread, None
            self._changed.notify_all()
            lost, self._waiting = len(self._waiting) + self._running, []
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)
        return lost

    def _run(self) -> None:
        while envelopes := self._take():
            outcomes = self._runner.run_many((seal(envelope), 0) for envelope in envelopes)
            for outcome in outcomes:
                if outcome.again is not None:
                    self.put(outcome.again, time.time() + outcome.pause)
            with self._changed:
                self._running = 0
                self._changed.notify_all()

    def _take(self) -> list[Envelope]:
        """Wait until something is due, and return it; nothing at the end."""
        with self._changed:
            while self._goes_on() and not self._is_due():
                self._changed.wait(self._waiting[0][0] - time.time() if self._waiting else None)
            taken: list[Envelope] = []
            while self._goes_on() and self._is_due() and len(taken) < _AT_ONCE:
                taken.append(heapq.heappop(self._waiting)[2])
            self._running = len(taken)
            self._changed.notify_all()
            return taken

    def _goes_on(self) -> bool:
        return self._thread is threading.current_thread()

    def _is_due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= time.time()
