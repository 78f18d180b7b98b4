"""A worker of RQ's in one thread, with what ours do besides."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from broadcaster.drivers._redis_package import TROUBLE, short
from broadcaster.queues._progress import Progress
from broadcaster.queues._rq_lines import Line
from broadcaster.queues._rq_package import BaseDeathPenalty, Execution, Job, JSONSerializer, RQScheduler, rq
from broadcaster.queues.outcomes import Outcome

__all__ = ["LineWorker"]

_logger = logging.getLogger("broadcaster.queue")
# RQ writes several lines for each job.
_rq_logger = logging.getLogger("broadcaster.queue.rq")
_rq_logger.setLevel(logging.WARNING)

_SCHEDULE_SECONDS = 0.5
_WAIT_SECONDS = 1
_WAIT_FOR_SEVERAL = 0.1
_REST = 1.0


class _NoPenalty(BaseDeathPenalty):
    """Leaves a job the time that it takes: deliveries have timeouts of their own."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class LineWorker(rq.SimpleWorker):
    """Performs the jobs of *lines* in the thread that runs it.

    *outcome* tells what the last one came to, and *rescue* gets what RQ does not try again.

    RQ's other worker forks for every job, which takes longer than it takes to deliver most events. It guards
    against what jobs do to their process, and this job is ours.
    """

    death_penalty_class = _NoPenalty

    def __init__(
        self,
        lines: Sequence[Line],
        connection: Any,
        *,
        outcome: Callable[[], Outcome | None],
        rescue: Callable[[str, str], object],
    ) -> None:
        super().__init__(
            lines,
            connection=connection,
            maintenance_interval=Line.look_seconds,
            worker_ttl=Line.lease,
            queue_class=Line,
            serializer=JSONSerializer,
        )
        self.log = _rq_logger
        self._lines = lines
        self._outcome = outcome
        self._rescue = rescue
        self._schedule = RQScheduler(
            self.queues, connection=connection, logging_level=logging.WARNING, serializer=JSONSerializer
        )
        self._at_work: tuple[Job, Line, Execution] | None = None
        self._is_over = threading.Event()
        self._next_locks = 0.0

    def loop(self, progress: Progress, paused: Callable[[], Collection[str]], *, drain: bool) -> None:
        """Work until *progress* is over, but not on what is *paused*; with *drain* until nothing is ready."""
        # What is overdue is to be found at the first look.
        self._schedule_due()
        beating = threading.Thread(target=self._beat, name="broadcaster-heartbeat", daemon=True)
        beating.start()
        try:
            is_known = False
            while not progress.is_over and progress.claim():
                outcome: Outcome | None = None
                try:
                    if not is_known:
                        self._appear()
                        is_known = True
                    self._tend()
                    taken = self._take(paused(), wait=not drain)
                    if taken is not None:
                        outcome = self._performed(*taken)
                except TROUBLE as error:
                    _logger.warning("the Redis of the queue cannot be used: %s", short(error))
                    self._is_over.wait(_REST)
                else:
                    if drain and taken is None:
                        break
                finally:
                    progress.finish(outcome)
        finally:
            self._is_over.set()
            beating.join()
            with suppress(*TROUBLE):
                self._schedule.release_locks()
                self.register_death()  # type: ignore[no-untyped-call]

    def _appear(self) -> None:
        # It raises that for a name which is known: this one has been told before, and no answer came.
        with suppress(ValueError):
            self.register_birth()  # type: ignore[no-untyped-call]

    def give_back(self) -> bool:
        """Let others have at once what this one is performing; the thread that does is left behind."""
        # Nobody shall hear any more that it is at work.
        self._is_over.set()
        if (at_work := self._at_work) is None:
            return False
        job, line, execution = at_work
        with self.connection.pipeline() as pipeline:
            execution.delete(job, pipeline)
            line._enqueue_job(job, pipeline, at_front=True)  # noqa: SLF001 - as RQ itself does
            pipeline.execute()
        self.register_death()  # type: ignore[no-untyped-call]
        return True

    def _performed(self, job: Job, line: Line) -> Outcome | None:
        """Perform *job*, of which the heartbeat speaks meanwhile; return what it came to."""
        line.forget_executions(job)
        execution = self.prepare_execution(job)
        self._at_work = job, line, execution
        try:
            self.perform_job(job, line, execution)
        except _LostError:
            _logger.warning("a worker was away for so long that another worker has what it did meanwhile")
        finally:
            self._at_work = None
        return self._outcome()

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Return how long others leave *job* alone."""
        return Line.lease

    def handle_execution_ended(self, job: Job, queue: rq.Queue, heartbeat_ttl: int) -> None:
        """Settle *job*, unless another worker took it, which settles it, or has done so already."""
        if self._at_work is not None:
            _, _, execution = self._at_work
            with self.connection.pipeline() as pipeline:
                pipeline.exists(job.key)
                pipeline.zrange(job.execution_registry.key, 0, -1)
                exists, begun = pipeline.execute()
            if not exists or (begun and execution.id.encode() not in begun):
                raise _LostError
        super().handle_execution_ended(job, queue, heartbeat_ttl)

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:  # noqa: FBT001, FBT002
        """Begin: what a worker of several queues took stands in an intermediate one as well."""
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)

    def _set_connection(self, connection: Any) -> Any:
        # Nothing here waits for as long as RQ prepares the connection for.
        return connection

    def _set_ip_address(self, connection: Any) -> None:
        # Only to be looked at; Redis, which tells it, may be away when a worker starts.
        self.ip_address = "unknown"

    def _tend(self) -> None:
        """Enqueue now and then what other workers left behind."""
        if self.should_run_maintenance_tasks:
            self.heartbeat()
            self.clean_registries()  # type: ignore[no-untyped-call]
            for line in self._lines:
                if line.acquire_maintenance_lock():
                    for body, reason in line.given_up():
                        self._rescue(body, reason)
                    line.release_maintenance_lock()  # type: ignore[no-untyped-call]

    def _take(self, paused: Collection[str], *, wait: bool) -> tuple[Job, Line] | None:
        """Return what is ready in the first of the queues that has something.

        One after the other: where RQ asks for several at once, what a worker took is lost when it dies then.
        """
        lines = [line for line in self._lines if line.name not in paused]
        for line in lines:
            if (taken := line.taken(None)) is not None:
                return taken
        if wait and len(lines) == 1:
            return lines[0].taken(_WAIT_SECONDS)
        self._is_over.wait(_WAIT_FOR_SEVERAL if wait else 0)
        return None

    def _beat(self) -> None:
        """Do what must not wait for a job: enqueue what is due, and say which job is being performed."""
        looks = beats = time.monotonic()
        while not self._is_over.wait(_SCHEDULE_SECONDS):
            if (now := time.monotonic()) - beats >= Line.lease / 3:
                beats = now
                if (at_work := self._at_work) is not None:
                    job, _, execution = at_work
                    self._keep(job, execution)
            if now >= looks and not self._schedule_due():
                looks = now + Line.look_seconds

    def _keep(self, job: Job, execution: Execution) -> None:
        """Say that this worker is at work on *job*."""
        try:
            self.maintain_heartbeats(job, execution)
        except TROUBLE:
            return
        except Exception:
            # Without this thread, whatever this worker takes from now on would be taken for left behind.
            _logger.exception("a worker could not say what it does")

    def _schedule_due(self) -> bool:
        """Enqueue what is due, where no other worker does, in one thread at a time; return whether it can."""
        try:
            if time.monotonic() >= self._next_locks:
                self._schedule.acquire_locks()
                self._next_locks = time.monotonic() + Line.look_seconds
            self._schedule.enqueue_scheduled_jobs()
        except TROUBLE as error:
            _logger.warning("what is due cannot be looked for: %s", short(error))
            return False
        except Exception:
            # Whatever RQ raises for a job of others: the ones at work go on.
            _logger.exception("what is due cannot be looked for")
            return False
        return True


class _LostError(Exception):
    """What a worker did is not its own any more."""
