"""A queue in an SQLite file: for the processes of one machine, without a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from broadcaster.queues._bell import ring
from broadcaster.queues._gathered import Gathered
from broadcaster.queues._sqlite_file import SqliteFile
from broadcaster.queues._sqlite_jobs import SqliteJobs
from broadcaster.queues._threads import Threads, run_alone
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import Envelope, seal
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.runner import Drivers, Runner, Span
from broadcaster.queues.sqlite_failed import SqliteFailedStore
from broadcaster.queues.worker import LeaseWorker
from broadcaster.queues.working import Size, Worker, WorkOptions

__all__ = ["SqliteQueue"]


class SqliteQueue:
    """Keeps envelopes in *file*, on a disk of this machine; its workers deliver them through *drivers*.

    What `push()` took survives a power cut. A worker holds what it has taken for *lease* seconds and renews
    that while it lives; when it dies, others take it after that time. Those that were given up are in
    `failed`, which is in the same file. Raises `ConfigurationError` for a file that cannot be used.
    """

    name = "sqlite"
    capabilities = Capabilities(durable=True)

    def __init__(
        self,
        drivers: Drivers,
        *,
        span: Span | None = None,
        file: str = "broadcaster-queue.sqlite3",
        lease: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = SqliteFile(file)
        self._jobs = SqliteJobs(self._file, lease=lease, clock=clock)
        self._pushed = Gathered(self._jobs.add, name="queue sqlite")
        self._lease = lease
        self._threads = Threads()
        self.failed = SqliteFailedStore(self._file, durable=False)
        # Its jobs know whether what ended here is done with, or in the hands of another worker by now: what
        # failed is kept then, and locks are given back.
        self._runner = Runner(drivers, None, release=lambda _: None, span=span, clock=clock)

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`; takes them all, or none."""
        self._pushed.write([(envelope, seal(envelope)) for envelope in envelopes])
        for queue in {envelope.queue for envelope in envelopes}:
            ring(self._file.path, queue)

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.apush()`."""
        await self._threads.run(self.push, envelopes)

    def release(self, envelope: Envelope) -> None:
        """See `Queue.release()`."""
        self._jobs.release(envelope)

    def close(self) -> None:
        """Close the file; what waits in it goes on waiting."""
        self._threads.close()
        self._file.close()

    async def aclose(self) -> None:
        """See `close()`."""
        await run_alone(self.close)

    def worker(self, options: WorkOptions, *, report: Callable[[Outcome], None]) -> Worker:
        """See `WorkedQueue.worker()`."""
        return LeaseWorker(
            self._jobs, self._runner, options, report=report, file=self._file.path, lease=self._lease
        )

    def sizes(self) -> dict[str, Size]:
        """See `WorkedQueue.sizes()`."""
        return self._jobs.sizes()

    def clear(self, queue: str) -> int:
        """See `WorkedQueue.clear()`."""
        return self._jobs.clear(queue)

    def pause(self, queue: str) -> None:
        """See `WorkedQueue.pause()`."""
        self._jobs.pause(queue)

    def resume(self, queue: str) -> None:
        """See `WorkedQueue.resume()`."""
        self._jobs.resume(queue)
        ring(self._file.path, queue)
