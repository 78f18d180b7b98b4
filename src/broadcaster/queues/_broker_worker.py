"""A worker on a broker: threads that take what its consumers have fetched, and deliver it in batches."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, PriorityQueue
from typing import Any, Protocol, TypeVar

from broadcaster.errors import DeliveryError
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.working import WorkOptions

__all__ = ["AT_ONCE", "BrokerWorker", "Consumer", "Fetched", "Held", "Post"]

_logger = logging.getLogger("broadcaster.queue")

AT_ONCE = 100
"""How many envelopes are delivered as one batch, at the most."""

_TICK_SECONDS = 0.1
_CALM_SECONDS = 0.5
_LOOK_SECONDS = 1.0

T = TypeVar("T")


class Held(Protocol):
    """One envelope that is out of the broker, and belongs to this worker until it is acknowledged."""

    queue: str
    body: bytes

    def ack(self) -> None:
        """Be done with it; `DeliveryError` where the broker cannot be told."""


class Consumer(Protocol):
    """Fetches what waits in one queue, in a thread of its own."""

    def is_alive(self) -> bool:
        """Return whether its thread runs."""
        ...

    def end(self, left: Callable[[], Iterable[Held]]) -> None:
        """Fetch no more; give back to the broker what it has, and what is *left* then of what it fetched."""


class Post(Protocol):
    """The broker, as a worker needs it; what cannot be done now raises `DeliveryError` or `OSError`."""

    def consumers(self, queue: str, fetched: Fetched) -> list[Consumer]:
        """Start fetching from *queue* what is put into *fetched*."""
        ...

    def deliver(self, bodies: Sequence[bytes], /) -> list[Outcome]:
        """Deliver them."""
        ...

    def again(self, outcome: Outcome, /) -> None:
        """Queue it once more, where that is what came out."""

    def ready(self, queues: Iterable[str]) -> int:
        """Return how much waits in *queues* for a worker."""
        ...

    def paused(self) -> frozenset[str]:
        """Return the queues from which nothing may be taken."""
        ...


class Fetched(PriorityQueue[Any]):
    """What was fetched and waits for a thread: that of the first of *queues* goes before all else."""

    def __init__(self, queues: Sequence[str], held: Callable[[Any], Held]) -> None:
        super().__init__()
        self._ranks: Mapping[str, int] = {queue: rank for rank, queue in enumerate(queues)}
        self._numbers = itertools.count()
        self._held = held

    def _put(self, item: Any) -> None:
        held = self._held(item)
        super()._put((self._ranks[held.queue], next(self._numbers), held))

    def _get(self) -> Held:
        held: Held = super()._get()[2]
        return held

    def take(self, most: int) -> list[Held]:
        """Wait a moment for something; return what there is, up to *most*."""
        taken: list[Held] = []
        with suppress(Empty):
            while len(taken) < most:
                taken.append(self.get(block=not taken, timeout=_TICK_SECONDS))
        return taken

    def left(self, queue: str) -> list[Held]:
        """Take out all that is of *queue*."""
        with self.mutex:
            mine = sorted(entry for entry in self.queue if entry[2].queue == queue)
            self.queue = sorted(entry for entry in self.queue if entry[2].queue != queue)
        return [held for _, _, held in mine]


class BrokerWorker:
    """Takes from a *post* what *options* say; *report* is told each outcome."""

    def __init__(
        self,
        post: Post,
        fetched: Fetched,
        options: WorkOptions,
        report: Callable[[Outcome], None],
    ) -> None:
        self._post = post
        self._fetched = fetched
        self._options = options
        self._report = report
        self._consumers: dict[str, list[Consumer]] = {}
        self._stopping = False
        self._pausing = threading.Event()  # is never set
        self._lock = threading.Lock()
        self._left = options.max_jobs
        self._running = 0
        self._error: Exception | None = None

    def run(self) -> None:
        """See `Worker.run()`; raises what it cannot go on with."""
        started = time.monotonic()
        threads = [
            threading.Thread(target=self._work, name=f"broadcaster-work-{number}", daemon=True)
            for number in range(1 if self._options.once else self._options.concurrency)
        ]
        try:
            self._follow()
            for thread in threads:
                thread.start()
            self._watch(started)
        finally:
            self._stopping = True
            until = time.monotonic() + self._options.grace
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, until - time.monotonic()))
            for queue in list(self._consumers):
                self._end(queue)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """See `Worker.stop()`."""
        # No event: a handler may interrupt the very thread that waits for it.
        self._stopping = True

    def _watch(self, started: float) -> None:
        """Return when it is time to stop."""
        looked = busy = started
        while not self._stopping:
            self._pausing.wait(_TICK_SECONDS)
            now = time.monotonic()
            if self._options.max_seconds is not None and now - started >= self._options.max_seconds:
                return
            if now - looked >= _LOOK_SECONDS:
                self._follow()
                looked = now
            if self._options.stop_when_empty or self._options.once:
                # What is on its way from the broker is nowhere to be seen for a moment.
                busy = now if self._has_work() else busy
                if now - busy >= _CALM_SECONDS:
                    return

    def _has_work(self) -> bool:
        if self._running or not self._fetched.empty():
            return True
        try:
            return self._post.ready(self._options.queues) > 0
        except (DeliveryError, OSError):
            return True

    def _follow(self) -> None:
        """Fetch from the queues that are not paused, and from no others."""
        try:
            paused = self._post.paused()
        except (DeliveryError, OSError) as error:
            _logger.warning("which queues are paused is not known: %s", error)
            paused = frozenset(set(self._options.queues) - self._consumers.keys())
        for queue in self._options.queues:
            consumers = self._consumers.get(queue, [])
            if consumers and (queue in paused or not all(one.is_alive() for one in consumers)):
                self._end(queue)
            if queue not in paused and queue not in self._consumers:
                self._consumers[queue] = self._post.consumers(queue, self._fetched)

    def _end(self, queue: str) -> None:
        for consumer in self._consumers.pop(queue):
            consumer.end(partial(self._fetched.left, queue))

    def _work(self) -> None:
        try:
            while taken := self._take():
                try:
                    self._finish(taken)
                finally:
                    with self._lock:
                        self._running -= 1
                self._stopping |= self._options.once
        except _CutOffError:
            _logger.warning("a worker stops before it could finish; what it holds is delivered once more")
        except Exception as error:
            _logger.exception("a worker broke; what it holds is delivered once more")
            self._error = error
        finally:
            self._stopping = True

    def _take(self) -> list[Held]:
        """Wait for something; return nothing at the end. One thread at a time, so that batches are whole."""
        while not self._stopping:
            with self._lock:
                most = AT_ONCE if self._left is None else min(AT_ONCE, self._left)
                if not most:
                    break
                if taken := self._fetched.take(most):
                    self._running += 1
                    if self._left is not None:
                        self._left -= len(taken)
                    return taken
        return []

    def _finish(self, taken: list[Held]) -> None:
        """Deliver, then queue again, then acknowledge: what is cut off between two of them is repeated."""
        outcomes = self._insist(lambda: self._post.deliver([held.body for held in taken]))
        for held, outcome in zip(taken, outcomes, strict=True):
            self._insist(partial(self._post.again, outcome))
            self._insist(held.ack)
            self._report(outcome)

    def _insist(self, act: Callable[[], T]) -> T:
        """Act, as often as it takes, unless it is time to stop: then the broker hands it out again."""
        while True:
            try:
                return act()
            except (DeliveryError, OSError) as error:
                _logger.warning("a worker waits for what it needs: %s", error)
                if self._stopping:
                    raise _CutOffError from error
                self._pausing.wait(_LOOK_SECONDS)


class _CutOffError(Exception):
    """It is time to stop, and what there is to do cannot be done now."""
