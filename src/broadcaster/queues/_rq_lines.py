"""Queues and workers of RQ, with what ours have besides; the one module that imports the package."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from broadcaster.drivers._redis_package import TROUBLE, short
from broadcaster.errors import MissingExtra
from broadcaster.queues._progress import Progress
from broadcaster.queues.outcomes import Outcome

try:
    import rq
    from rq.exceptions import DequeueTimeout, DeserializationError
    from rq.intermediate_queue import IntermediateQueue
    from rq.job import Job
    from rq.scheduler import RQScheduler
    from rq.serializers import JSONSerializer
    from rq.timeouts import BaseDeathPenalty
    from rq.utils import now
except ImportError as error:
    raise MissingExtra(error.name or "rq", extra="rq") from error

__all__ = ["Line", "LineWorker"]

_logger = logging.getLogger("broadcaster.queue")
# RQ writes several lines for each job.
_rq_logger = logging.getLogger("broadcaster.queue.rq")
_rq_logger.setLevel(logging.WARNING)

# Only workers of an application's own end a job that takes longer.
_JOB_SECONDS = 60
_FAILED_SECONDS = 7 * 86_400

# Another worker takes a job of which its worker has not spoken for so long, within a look more.
_LEASE = 30
_LOOK_SECONDS = 5
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


class Line(rq.Queue):
    """One queue, whose jobs call a function with a text and nothing else.

    What they came to is kept for *kept* seconds.
    """

    def __init__(self, name: str, connection: Any, *, kept: int = 0, **how: Any) -> None:
        super().__init__(name, connection=connection, **{**how, "serializer": JSONSerializer})
        self._kept = kept

    def put(self, job: str, bodies: Sequence[tuple[str, str]], *, most: int) -> None:
        """Append jobs, each with its body and its title, together; each is begun *most* times at the most."""
        how = self._how(most)
        self.enqueue_many(
            [self.prepare_data(job, (body,), description=title, **how) for body, title in bodies]
        )

    def put_later(self, job: str, body: str, title: str, due: float, *, most: int) -> None:
        """Keep a job back until the Unix time *due*, rounded up to a second: RQ knows no shorter time."""
        at = datetime.fromtimestamp(math.ceil(due), UTC)
        how = {"job_timeout" if name == "timeout" else name: value for name, value in self._how(most).items()}
        self.enqueue_at(at, job, body, description=title, **how)

    def drop(self) -> Iterator[str]:
        """Take out everything that waits, also what is not due, and yield its body."""
        for job_id in self.get_job_ids():
            if self.connection.lrem(self.key, 1, job_id):
                yield from self._dropped(job_id)
        scheduled = self.scheduled_job_registry
        for job_id in scheduled.get_job_ids():
            if self.connection.zrem(scheduled.key, job_id):
                yield from self._dropped(job_id)

    def given_up(self) -> Iterator[tuple[str, str]]:
        """Yield the body of each job that RQ does not try again, and the reason; afterwards drop it."""
        for job_id in self.failed_job_registry.get_job_ids():
            if (job := self.fetch_job(job_id)) is not None:
                yield _body(job), _reason(job)
                self.forget_executions(job)
                job.delete()

    def taken(self, wait: int | None) -> tuple[Job, Line] | None:
        """Take a job, waiting for one so many seconds."""
        with suppress(DequeueTimeout):
            found = self.dequeue_any([self], wait, self.connection, serializer=JSONSerializer)
            return None if found is None else (found[0], self)
        return None

    def acquire_maintenance_lock(self) -> bool:
        """Lock for two looks, not for a quarter of an hour as RQ does: the worker may be killed."""
        return bool(self.connection.set(self.registry_cleaning_key, 1, nx=True, ex=max(1, 2 * _LOOK_SECONDS)))

    @property
    def intermediate_queue(self) -> IntermediateQueue:
        """Return where jobs are that a worker took, and has not begun."""
        return _Taken(self.key, connection=self.connection)

    def _how(self, most: int) -> dict[str, Any]:
        # RQ tries again what ended its worker, and what raised; what our drivers raise, it never sees. Behind
        # a long line a message that was delivered would come after the server has forgotten its id.
        retry = rq.Retry(max=most - 1, enqueue_at_front=True)
        return {
            "timeout": _JOB_SECONDS,
            "result_ttl": self._kept,
            "failure_ttl": _FAILED_SECONDS,
            "retry": retry,
        }

    def _dropped(self, job_id: str) -> Iterator[str]:
        if (job := self.fetch_job(job_id)) is not None:
            yield _body(job)
            self.forget_executions(job)
            job.delete()

    def forget_executions(self, job: Job) -> None:
        """Forget who began *job*: RQ raises where it looks for an execution that has expired."""
        self.connection.delete(job.execution_registry.key)


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
            maintenance_interval=_LOOK_SECONDS,
            worker_ttl=_LEASE,
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
        self._at_work: tuple[Job, Line, Any] | None = None
        self._is_over = threading.Event()
        self._next_locks = 0.0

    def loop(self, progress: Progress, paused: Callable[[], Collection[str]], *, drain: bool) -> None:
        """Work until *progress* is over, but not on what is *paused*; with *drain* until nothing is ready."""
        # What is overdue is to be found at the first look.
        self._schedule_due()
        beating = threading.Thread(target=self._beat, name="broadcaster-heartbeat", daemon=True)
        beating.start()
        try:
            self.register_birth()  # type: ignore[no-untyped-call]
            while not progress.is_over and progress.claim():
                outcome: Outcome | None = None
                try:
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
        finally:
            self._at_work = None
        return self._outcome()

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Return how long others leave *job* alone."""
        return _LEASE

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:  # noqa: FBT001, FBT002
        """Begin: what a worker of several queues took stands in an intermediate one as well."""
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)

    def _set_connection(self, connection: Any) -> Any:
        # Nothing here waits for as long as RQ prepares the connection for.
        return connection

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
            if (now := time.monotonic()) - beats >= _LEASE / 3:
                beats = now
                if (at_work := self._at_work) is not None:
                    job, _, execution = at_work
                    with suppress(*TROUBLE):
                        self.maintain_heartbeats(job, execution)
            if now >= looks and not self._schedule_due():
                looks = now + _LOOK_SECONDS

    def _schedule_due(self) -> bool:
        """Enqueue what is due, where no other worker does, in one thread at a time; return whether it can."""
        try:
            if time.monotonic() >= self._next_locks:
                self._schedule.acquire_locks()
                self._next_locks = time.monotonic() + _LOOK_SECONDS
            self._schedule.enqueue_scheduled_jobs()
        except TROUBLE as error:
            _logger.warning("what is due cannot be looked for: %s", short(error))
            return False
        except Exception:
            # Whatever RQ raises for a job of others: the ones at work go on.
            _logger.exception("what is due cannot be looked for")
            return False
        return True


class _Taken(IntermediateQueue):
    """What was taken and not begun; it is put back as soon as what was begun."""

    def should_be_cleaned_up(self, job_id: str) -> bool:
        seen = self.get_first_seen(job_id)
        return seen is not None and (now() - seen).total_seconds() > _LEASE


def _body(job: Job) -> str:
    """Return the envelope, or nothing where somebody else has put *job* there."""
    try:
        [body] = job.args
    except (DeserializationError, TypeError, ValueError):
        return ""
    return str(body)


def _reason(job: Job) -> str:
    result = job.latest_result()
    lines = (result.exc_string or "").splitlines() if result is not None else []
    return f"RQ does not try it again: {lines[-1] if lines else 'it failed'}"
