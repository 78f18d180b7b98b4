"""How far a worker of somebody else's engine has come: what it may take yet, and what is to be told of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.working import WorkOptions

__all__ = ["Progress"]


class Progress:
    """Counts for a worker with *options*, in all of its threads; *report* is told each outcome."""

    def __init__(self, options: WorkOptions, report: Callable[[Outcome], None]) -> None:
        self._most = 1 if options.once else options.max_jobs
        self._end = None if options.max_seconds is None else time.monotonic() + options.max_seconds
        self._report = report
        self._is_stopped = False
        self._claimed = 0
        self._done = 0
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether the worker has done all that it may do."""
        late = self._end is not None and time.monotonic() >= self._end
        return self._is_stopped or late or (self._most is not None and self._done >= self._most)

    @property
    def is_busy(self) -> bool:
        """Whether something is being delivered."""
        return self._claimed > self._done

    def stop(self) -> None:
        """Have the worker take no more; safe in a signal handler."""
        self._is_stopped = True

    def claim(self) -> bool:
        """Begin with one job; False where the worker may take no more."""
        with self._lock:
            if self._most is not None and self._claimed >= self._most:
                return False
            self._claimed += 1
            return True

    def finish(self, outcome: Outcome | None) -> None:
        """Be done with a job that was claimed; None says that it was given back."""
        with self._lock:
            if outcome is None:
                self._claimed -= 1
            else:
                self._done += 1
        if outcome is not None:
            self._report(outcome)
