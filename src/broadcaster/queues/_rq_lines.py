"""Queues of RQ, with what ours have besides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from broadcaster.queues._rq_package import (
    DequeueTimeout,
    DeserializationError,
    IntermediateQueue,
    Job,
    JSONSerializer,
    now,
    rq,
)

__all__ = ["Line"]

# Only workers of an application's own end a job that takes longer.
_JOB_SECONDS = 60
_FAILED_SECONDS = 7 * 86_400


class Line(rq.Queue):
    """One queue, whose jobs call a function with a text and nothing else.

    What they came to is kept for *kept* seconds.
    """

    # Another worker takes a job of which its worker has not spoken for so long, within a look more. RQ counts
    # whole seconds, so that three are the least that makes sense.
    lease = 30
    look_seconds = 5

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
        seconds = max(1, 2 * self.look_seconds)
        return bool(self.connection.set(self.registry_cleaning_key, 1, nx=True, ex=seconds))

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


class _Taken(IntermediateQueue):
    """What was taken and not begun; it is put back as soon as what was begun."""

    def should_be_cleaned_up(self, job_id: str) -> bool:
        seen = self.get_first_seen(job_id)
        return seen is not None and (now() - seen).total_seconds() > Line.lease


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
