"""The worker of queues that hold jobs for a time: it takes them, and says what became of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from broadcaster.errors import DeliveryError
from broadcaster.queues._bell import Listener, ring
from broadcaster.queues._crew import Crew
from broadcaster.queues._leases import Held, Leases, Taken
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.runner import Runner
from broadcaster.queues.working import WorkOptions

__all__ = ["LeaseWorker"]

_logger = logging.getLogger("broadcaster.queue")

_AT_ONCE = 100
_LOOK_SECONDS = 1.0
"""How long nobody looks whether there is something, even if no bell was heard."""
_SETTLE_SECONDS = 30.0
"""How long it tries to say what became of a batch, before it lets that come again."""


class LeaseWorker:
    """Has *runner* deliver what it takes from *leases*, in as many threads as *options* say; see `Worker`.

    What it holds it renews three times in a *lease*. It hears the bell of *file*.
    """

    def __init__(
        self,
        leases: Leases,
        runner: Runner,
        options: WorkOptions,
        *,
        report: Callable[[Outcome], None],
        file: Path,
        lease: float,
    ) -> None:
        self._leases = leases
        self._runner = runner
        self._options = options
        self._report = report
        self._file = file
        self._lease = lease
        self._listener = Listener(file, options.queues)
        self._taking = threading.Lock()
        self._left = options.max_jobs
        self._ends = float("inf")
        self._held: dict[int, Sequence[Held]] = {}
        self._holding = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        """See `Worker.run()`; raises what *report* raises."""
        self._ends = time.monotonic() + (self._options.max_seconds or float("inf"))
        crew = Crew(
            self._work,
            count=1 if self._options.once else self._options.concurrency,
            name="broadcaster-worker",
            is_over=lambda: self._listener.stopped,
            stop=self.stop,
        )
        renewing = threading.Thread(target=self._renew, name="broadcaster-leases", daemon=True)
        renewing.start()
        try:
            crew.run(grace=self._options.grace)
        finally:
            self.stop()
            self._ended.set()
            renewing.join(self._lease)
            self._give_back()
            if crew.has_ended:
                self._listener.close()

    def stop(self) -> None:
        """See `Worker.stop()`."""
        # No lock in it: a signal may come while this thread holds one.
        self._listener.stop()

    def _give_back(self) -> None:
        with self._holding:
            jobs = [held for batch in self._held.values() for held in batch]
        if not jobs:
            return
        _logger.warning("the time is over, and %d events were given back to their queue", len(jobs))
        try:
            self._leases.give_back(jobs)
        except DeliveryError as error:
            _logger.error("they come again after their lease: %s", error)  # noqa: TRY400
        for queue in self._options.queues:
            ring(self._file, queue)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            self._do(taken)

    def _take(self) -> Taken | None:
        """Wait until there is something to do, and take it; None when this was all. One thread at a time."""
        with self._taking:
            while not self._listener.stopped and self._left != 0 and time.monotonic() < self._ends:
                try:
                    most = _AT_ONCE if self._left is None else min(_AT_ONCE, self._left)
                    if (taken := self._leases.take(self._options.queues, most)) is not None:
                        return self._counted(taken)
                    if self._options.once or self._options.stop_when_empty:
                        return None
                    due = self._leases.next_due(self._options.queues)
                except DeliveryError as error:
                    _logger.error("nothing can be taken: %s", error)  # noqa: TRY400
                    due = None
                seconds = min(_LOOK_SECONDS, _LOOK_SECONDS if due is None else due)
                self._listener.wait(min(seconds, max(0.0, self._ends - time.monotonic())))
            return None

    def _counted(self, taken: Taken) -> Taken:
        if self._options.once:
            self._left = 0
        elif self._left is not None:
            self._left -= len(taken.jobs)
        if taken.more:
            ring(self._file, taken.queue)
        return taken

    def _do(self, taken: Taken) -> None:
        jobs = taken.jobs
        with self._kept(jobs):
            try:
                outcomes = self._outcomes(jobs)
            except (DeliveryError, OSError) as error:
                _logger.error("%d events come again after their lease: %s", len(jobs), error)  # noqa: TRY400
                return
            if not self._settle(jobs, outcomes):
                return
        for outcome in outcomes:
            self._report(outcome)

    def _settle(self, jobs: Sequence[Held], outcomes: Sequence[Outcome]) -> bool:
        """Say what became of *jobs*, again and again if need be: else what was delivered comes once more."""
        ends = time.monotonic() + _SETTLE_SECONDS
        while True:
            try:
                others = self._leases.settle(zip(jobs, outcomes, strict=True))
            except (DeliveryError, OSError) as error:
                if self._listener.stopped or time.monotonic() >= ends:
                    _logger.error("%d events come again after their lease: %s", len(jobs), error)  # noqa: TRY400
                    return False
                _logger.warning("what became of %d events cannot be kept yet: %s", len(jobs), error)
                self._ended.wait(_LOOK_SECONDS)
            else:
                break
        if others:
            _logger.warning("%d events took longer than their lease, and were taken by others too", others)
        return True

    def _outcomes(self, jobs: Sequence[Held]) -> list[Outcome]:
        first = jobs[0]
        if first.spent:
            return [self._runner.abandon(first.body, f"it has ended the {first.lost} workers that took it")]
        return self._runner.run_many((held.body, 0) for held in jobs)

    @contextmanager
    def _kept(self, jobs: Sequence[Held]) -> Iterator[None]:
        """Have the lease of *jobs* renewed while the block lasts."""
        thread = threading.get_ident()
        with self._holding:
            self._held[thread] = jobs
        try:
            yield
        finally:
            with self._holding:
                del self._held[thread]

    def _renew(self) -> None:
        while not self._ended.wait(self._lease / 3):
            with self._holding:
                jobs = [held for batch in self._held.values() for held in batch]
            if jobs:
                try:
                    self._leases.renew(jobs)
                except DeliveryError as error:
                    _logger.error("leases were not renewed: %s", error)  # noqa: TRY400
