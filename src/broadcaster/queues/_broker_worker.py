"""A worker on a broker: threads that take what its consumers have fetched, and deliver it in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from broadcaster.errors import DeliveryError
from broadcaster.queues._broker_post import SUSPECT, TICK_SECONDS, Begun, Consumer, Fetched, Held, Post
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.working import WorkOptions

__all__ = ["AT_ONCE", "BrokerWorker"]

_logger = logging.getLogger("broadcaster.queue")

AT_ONCE = 100
"""How many envelopes are delivered as one batch, at the most."""

_CALM_SECONDS = 0.5
_LOOK_SECONDS = 1.0

T = TypeVar("T")


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
        self._is_unsure = False
        """Whether which queues are paused is not known."""
        self._pausing = threading.Event()  # is never set
        self._lock = threading.Lock()
        self._left = options.max_jobs
        self._in_hand: dict[int, Sequence[Held]] = {}
        self._error: BaseException | None = None

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
            if self._post.outlives_consumers:
                # Others may as well begin with it.
                self._end_all()
            self._join([thread for thread in threads if thread.ident is not None], until)
            self._give_back()
            self._end_all()
            self._consumers.clear()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """See `Worker.stop()`."""
        # No event: a handler may interrupt the very thread that waits for it.
        self._stopping = True

    def _join(self, threads: Sequence[threading.Thread], until: float) -> None:
        """Wait for *threads*, and have nobody take this worker for dead meanwhile."""
        for thread in threads:
            while thread.is_alive() and (left := until - time.monotonic()) > 0:
                thread.join(min(_LOOK_SECONDS, left))
                with suppress(DeliveryError, OSError):
                    self._post.paused()

    def _watch(self, started: float) -> None:
        """Return when it is time to stop."""
        looked = busy = started
        while not self._stopping:
            self._pausing.wait(TICK_SECONDS)
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
        if self._is_unsure or self._in_hand or not self._fetched.empty():
            return True
        try:
            return self._post.ready(self._consumers) > 0
        except (DeliveryError, OSError):
            return True

    def _follow(self) -> None:
        """Fetch from the queues that are not paused, and from no others."""
        try:
            paused = self._post.paused()
            self._is_unsure = False
        except (DeliveryError, OSError) as error:
            self._is_unsure = True
            _logger.warning("which queues are paused is not known: %s", error)
            paused = frozenset(set(self._options.queues) - self._consumers.keys())
        for queue in self._options.queues:
            consumers = self._consumers.get(queue, [])
            if consumers and (queue in paused or not all(one.is_alive() for one in consumers)):
                self._end_fetching(queue)
                del self._consumers[queue]
            if queue not in paused and queue not in self._consumers:
                self._consumers[queue] = self._post.consumers(queue, self._fetched)

    def _end_fetching(self, queue: str) -> None:
        for consumer in self._consumers[queue]:
            consumer.end(partial(self._fetched.left, queue))

    def _end_all(self) -> None:
        for queue in self._consumers:
            self._end_fetching(queue)

    def _give_back(self) -> None:
        """Let others have at once what threads hold that did not finish in time."""
        with self._lock:
            held = [one for taken in self._in_hand.values() for one in taken]
        if not held:
            return
        _logger.warning("the time is over, and %d events were given back to their queue", len(held))
        self._fetched.give_back(held)
        try:
            with self._post.begun() as begun:
                begun.end(held)
        except (DeliveryError, OSError) as error:
            _logger.warning("they count as if a worker had died of them: %s", error)

    def _work(self) -> None:
        try:
            while taken := self._take():
                try:
                    self._finish(taken)
                finally:
                    with self._lock:
                        del self._in_hand[threading.get_ident()]
                self._stopping |= self._options.once
                # Waiting for the next, hold nothing of the last.
                taken = []
        except _CutOffError:
            _logger.warning("a worker stops before it could finish; what it holds is delivered once more")
        except BaseException as error:
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
                    self._in_hand[threading.get_ident()] = taken
                    if self._left is not None:
                        self._left -= len(taken)
                    return taken
        return []

    def _finish(self, taken: list[Held]) -> None:
        """Deliver together what is above suspicion, and the rest one by one."""
        with self._post.begun() as begun:
            counts = self._insist(partial(begun.begin, taken))
            if fresh := [held for held, count in zip(taken, counts, strict=True) if count < SUSPECT]:
                outcomes = self._insist(lambda: self._post.deliver([held.body for held in fresh]))
                self._end(begun, fresh, outcomes)
            for held, count in zip(taken, counts, strict=True):
                if count >= SUSPECT:
                    [lost] = self._insist(partial(begun.begin, [held])) if len(taken) > 1 else counts
                    outcome = self._insist(partial(self._post.deliver_alone, held.body, lost))
                    self._end(begun, [held], [outcome])

    def _end(self, begun: Begun, taken: Sequence[Held], outcomes: Sequence[Outcome]) -> None:
        """Queue again, then acknowledge: what is cut off between the two is repeated."""
        for held, outcome in zip(taken, outcomes, strict=True):
            self._insist(partial(self._post.settle, outcome))
            self._insist(held.ack)
        # RabbitMQ hears of an acknowledgement a moment later. Who is killed before that leaves what was given
        # up to be given up again, without being begun.
        ended = [held for held, outcome in zip(taken, outcomes, strict=True) if outcome.failed is None]
        self._insist(partial(begun.end, ended))
        for outcome in outcomes:
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
