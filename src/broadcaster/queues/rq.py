"""RQ as the queue: a job of ours, which takes an envelope as text."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from broadcaster.drivers._redis_package import TROUBLE, client_of, reached, short
from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.queues._progress import Progress
from broadcaster.queues._rq_lines import Line, LineWorker
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import Envelope, UnreadableEnvelope, open_envelope, seal
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.redis_failed import RedisFailedStore
from broadcaster.queues.redis_locks import RedisLocks
from broadcaster.queues.runner import Drivers, Runner, Span
from broadcaster.queues.working import Size, Worker, WorkOptions

__all__ = ["RqQueue", "deliver"]

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


class RqQueue:
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
        self._redis: Any = connection or client_of(url or _URL, who="queue 'rq'")
        self._prefix = prefix
        self._job = job
        self._locks = RedisLocks(self._redis, prefix=prefix)
        self.failed: FailedStore = RedisFailedStore(self._redis, prefix=prefix)
        self._runner = Runner(drivers, self.failed, release=self.release, span=span)

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`."""
        wanted = [envelope for envelope in envelopes if self._locks.take(envelope)]
        try:
            self._put([(envelope, envelope.delay) for envelope in wanted])
        except DeliveryError:
            for envelope in wanted:
                self.release(envelope)
            raise

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.apush()`: the client of RQ blocks, so a thread uses it."""
        await asyncio.to_thread(self.push, envelopes)

    def release(self, envelope: Envelope) -> None:
        """See `Queue.release()`."""
        self._locks.give_back(envelope)

    def close(self) -> None:
        """See `Queue.close()`."""
        self._redis.close()

    async def aclose(self) -> None:
        """See `Queue.aclose()`."""
        await asyncio.to_thread(self.close)

    def run(self, body: str) -> Outcome:
        """Deliver the envelope *body*, or see to it that it is tried again; what a *job* has to do."""
        outcome = self._runner.run(body.encode())
        if outcome.again is not None:
            self._put([(outcome.again, outcome.pause)])
        if (at_work := _at_work.get(None)) is not None:
            at_work.outcomes.append(outcome)
        return outcome

    def worker(self, options: WorkOptions, *, report: Callable[[Outcome], None]) -> Worker:
        """See `WorkedQueue.worker()`."""
        progress = Progress(options, report)
        return _Worker(partial(self._work, options, progress), progress, threads=options.concurrency)

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
        """Push envelopes, each due after so many seconds."""
        ready: dict[str, list[tuple[str, str]]] = {}
        try:
            for envelope, pause in envelopes:
                body, title = seal(envelope).decode(), envelope.message.name
                if pause:
                    self._line(envelope.queue).put_later(self._job, body, title, time.time() + pause)
                else:
                    ready.setdefault(envelope.queue, []).append((body, title))
            for queue, bodies in ready.items():
                self._line(queue).put(self._job, bodies)
        except TROUBLE as error:
            reason = f"Redis does not take it: {short(error)}"
            raise DeliveryError(reason, driver="queue rq", retryable=True) from error

    def _work(self, options: WorkOptions, progress: Progress) -> None:
        """Be a worker, in this thread."""
        outcomes: deque[Outcome] = deque(maxlen=1)
        worker = LineWorker(
            [self._line(queue) for queue in options.queues],
            self._redis,
            outcome=lambda: outcomes.pop() if outcomes else None,
            rescue=self._rescue,
        )
        at_work = _at_work.set(_AtWork(self, outcomes))
        try:
            worker.loop(progress, self._paused, drain=options.once or options.stop_when_empty)
        finally:
            _at_work.reset(at_work)

    def _rescue(self, body: str, reason: str) -> None:
        self._runner.abandon(body.encode(), reason)


class _Worker:
    """Has several threads *work*, until *progress* is over."""

    def __init__(self, work: Callable[[], None], progress: Progress, *, threads: int) -> None:
        self._work = work
        self._progress = progress
        self._threads = threads

    def run(self) -> None:
        """See `Worker.run()`."""
        others = [threading.Thread(target=self._work) for _ in range(self._threads - 1)]
        for thread in others:
            thread.start()
        self._work()
        for thread in others:
            thread.join()

    def stop(self) -> None:
        """See `Worker.stop()`."""
        self._progress.stop()


def _size(line: Line, paused: Collection[str]) -> Size:
    return Size(
        line.count,
        line.scheduled_job_registry.get_job_count(cleanup=False),
        line.started_job_registry.get_job_count(cleanup=False),
        paused=line.name in paused,
    )
