"""RQ as the queue: a job of ours, which takes an envelope as text."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from broadcaster.drivers._redis_package import TROUBLE, client_of, disconnect_idle, reached, short
from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.queues._crew import Crew
from broadcaster.queues._gate import Gate
from broadcaster.queues._on_redis import OnRedis
from broadcaster.queues._progress import Progress
from broadcaster.queues._rq_lines import Line
from broadcaster.queues._rq_worker import LineWorker
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import SPARE, Envelope, UnreadableEnvelope, open_envelope, seal
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.runner import Drivers, Span
from broadcaster.queues.working import Size, Worker, WorkOptions

__all__ = ["RqQueue", "deliver"]

_logger = logging.getLogger("broadcaster.queue")

_URL = "redis://127.0.0.1:6379"
_JOB = "broadcaster.queues.rq.deliver"
_KEPT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class _AtWork:
    """Whose jobs a worker of ours is doing, and what the last one came to."""

    queue: RqQueue
    outcomes: deque[Outcome]


_at_work: ContextVar[_AtWork] = ContextVar("broadcaster_rq_at_work")


def deliver(body: str) -> None:
    """Deliver the envelope *body*, in a worker that `broadcaster work` started: what RQ calls."""
    at_work = _at_work.get(None)
    if at_work is None:
        raise ConfigurationError(
            "queue 'rq': only `broadcaster work` knows the drivers; for `rq worker` name a function of your"
            " own, as in RqQueue(..., job='shop.jobs.deliver')"
        )
    at_work.queue.run(body)


class RqQueue(OnRedis):
    """Pushes envelopes as jobs, to the Redis at *url*, or to that of a client, *connection*.

    Each queue of events is one of RQ's beneath *prefix*, as in `broadcaster:default`. `broadcaster work`
    delivers, unless *job* is the import path of a function that hands its only argument to `run()`: then
    `rq worker` can do so, too.
    """

    name = "rq"
    capabilities = Capabilities(durable=True)

    def __init__(
        self,
        drivers: Drivers,
        *,
        span: Span | None = None,
        url: str | None = None,
        prefix: str = "broadcaster",
        connection: Any = None,
        job: str = _JOB,
    ) -> None:
        if connection is not None and url is not None:
            raise ConfigurationError("queue 'rq': a 'connection' leads somewhere, so 'url' has no use")
        self._gate = Gate()
        self._redis: Any = connection or client_of(url or _URL, who="queue 'rq'")
        super().__init__(drivers, self._redis, prefix=prefix, span=span)
        self._job = job

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`."""
        with self._gate.passed():
            super().push(envelopes)

    def close(self) -> None:
        """See `Queue.close()`."""
        self._threads.close()
        with self._gate.shut():
            disconnect_idle(self._redis)

    def run(self, body: str) -> Outcome:
        """Deliver the envelope *body*, or see to it that it is tried again; what a *job* has to do."""
        outcome = self._runner.run(body.encode())
        if outcome.again is not None:
            with self._gate.passed():
                self._put([(outcome.again, outcome.pause)])
        if (at_work := _at_work.get(None)) is not None:
            at_work.outcomes.append(outcome)
        return outcome

    def worker(self, options: WorkOptions, *, report: Callable[[Outcome], None]) -> Worker:
        """See `WorkedQueue.worker()`."""
        return _Worker(self, options, report)

    def sizes(self) -> dict[str, Size]:
        """See `WorkedQueue.sizes()`."""
        with reached("the Redis of the queue"):
            paused = self._paused()
            known = {line.name for line in Line.all(self._redis) if line.name.startswith(self._name(""))}
            sizes = {name: _size(Line(name, self._redis), paused) for name in known | paused}
        return {
            name.removeprefix(self._name("")): size
            for name, size in sorted(sizes.items())
            if size.ready or size.delayed or size.held or size.paused
        }

    def clear(self, queue: str) -> int:
        """See `WorkedQueue.clear()`."""
        with reached("the Redis of the queue"):
            dropped = list(self._line(queue).drop())
        for body in dropped:
            with suppress(UnreadableEnvelope):
                self.release(open_envelope(body.encode()))
        return len(dropped)

    def pause(self, queue: str) -> None:
        """See `WorkedQueue.pause()`; workers of RQ's own pause all together, with `rq suspend`."""
        if self._job != _JOB:
            raise ConfigurationError(f"queue 'rq' cannot pause {queue!r} alone; pause all, with: rq suspend")
        with reached("the Redis of the queue"):
            self._redis.sadd(self._paused_key, self._name(queue))

    def resume(self, queue: str) -> None:
        """See `WorkedQueue.resume()`."""
        with reached("the Redis of the queue"):
            self._redis.srem(self._paused_key, self._name(queue))

    @property
    def _paused_key(self) -> str:
        return f"{self._prefix}:paused"

    def _paused(self) -> set[str]:
        names: set[bytes] = self._redis.smembers(self._paused_key)
        return {name.decode() for name in names}

    def _name(self, queue: str) -> str:
        return f"{self._prefix}:{queue}"

    def _line(self, queue: str) -> Line:
        # A worker of RQ's own fails a job that it did for the second time, where it is to delete it at once.
        return Line(self._name(queue), self._redis, kept=0 if self._job == _JOB else _KEPT_SECONDS)

    def _put(self, envelopes: Sequence[tuple[Envelope, float]]) -> None:
        # As many at once as may be without changing their order.
        alike = groupby(envelopes, lambda one: (one[0].queue, one[0].tries + SPARE, one[1]))
        try:
            for (queue, most, pause), together in alike:
                line = self._line(queue)
                bodies = [(seal(envelope).decode(), envelope.message.name) for envelope, _ in together]
                if not pause:
                    line.put(self._job, bodies, most=most)
                    continue
                for body, title in bodies:
                    line.put_later(self._job, body, title, time.time() + pause, most=most)
        except TROUBLE as error:
            reason = f"Redis does not take it: {short(error)}"
            raise DeliveryError(reason, driver="queue rq", retryable=True) from error

    def _line_worker(self, queues: Sequence[str], outcome: Callable[[], Outcome | None]) -> LineWorker:
        lines = [self._line(queue) for queue in queues]
        return LineWorker(lines, self._redis, outcome=outcome, rescue=self._rescue)

    def _rescue(self, body: str, reason: str) -> None:
        self._runner.abandon(body.encode(), reason)


class _Worker:
    """Has a worker of RQ's in each of several threads, of which none knows of the others."""

    def __init__(self, queue: RqQueue, options: WorkOptions, report: Callable[[Outcome], None]) -> None:
        self._queue = queue
        self._options = options
        self._progress = Progress(options, report)
        self._workers: list[LineWorker] = []

    def run(self) -> None:
        """See `Worker.run()`."""
        progress = self._progress
        crew = Crew(
            self._work,
            count=self._options.concurrency,
            name="broadcaster-work",
            is_over=lambda: progress.is_over,
            stop=progress.stop,
        )
        try:
            crew.run(grace=self._options.grace)
        finally:
            if not crew.has_ended:
                self._give_back()

    def stop(self) -> None:
        """See `Worker.stop()`."""
        self._progress.stop()

    def _work(self) -> None:
        outcomes: deque[Outcome] = deque(maxlen=1)
        worker = self._queue._line_worker(  # noqa: SLF001 - the two are one
            self._options.queues, lambda: outcomes.pop() if outcomes else None
        )
        self._workers.append(worker)
        at_work = _at_work.set(_AtWork(self._queue, outcomes))
        try:
            drain = self._options.once or self._options.stop_when_empty
            worker.loop(self._progress, self._queue._paused, drain=drain)  # noqa: SLF001 - likewise
        finally:
            _at_work.reset(at_work)

    def _give_back(self) -> None:
        try:
            count = sum(worker.give_back() for worker in self._workers)
        except TROUBLE as error:
            _logger.error("what a worker holds comes again after its lease: %s", short(error))  # noqa: TRY400
        else:
            _logger.warning("the time is over, and %d events were given back to their queue", count)


def _size(line: Line, paused: Collection[str]) -> Size:
    return Size(
        line.count,
        line.scheduled_job_registry.get_job_count(cleanup=False),
        line.started_job_registry.get_job_count(cleanup=False),
        paused=line.name in paused,
    )
