"""A worker of Celery's in this process, which leaves the signals to us."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from broadcaster.queues._crew import Crew
from broadcaster.queues._progress import Progress

__all__ = ["CeleryWorker"]

_logger = logging.getLogger("broadcaster.queue")


class CeleryWorker:
    """Does what *work* does, until *state* says that it is over.

    There may be one at a time in a process: all of Celery's workers look at that *state*. With *is_empty*
    it ends when that says so. What it does not finish in *grace* seconds goes to *give_back*.
    """

    def __init__(
        self,
        work: Callable[[], None],
        state: Any,
        progress: Progress,
        *,
        is_empty: Callable[[], bool] | None,
        give_back: Callable[[Sequence[Any]], None],
        grace: float,
    ) -> None:
        self._work = work
        self._state = state
        self._progress = progress
        self._is_empty = is_empty
        self._to_give_back = give_back
        self._grace = grace

    def run(self) -> None:
        """See `Worker.run()`."""
        if self._progress.is_over:
            return
        crew = Crew(
            self._work, count=1, name="broadcaster-work", is_over=self._has_to_end, stop=self._progress.stop
        )
        try:
            crew.run(grace=self._grace)
        finally:
            if crew.has_ended:
                self._state.should_stop = None
            else:
                self._give_back()

    def stop(self) -> None:
        """See `Worker.stop()`."""
        self._progress.stop()

    def _has_to_end(self) -> bool:
        if not self._progress.is_over and not self._is_drained():
            return False
        self._state.should_stop = 0
        return True

    def _give_back(self) -> None:
        """Have others get what the threads that are left behind have."""
        held = list(self._state.reserved_requests)
        self._to_give_back(held)
        _logger.warning("the time is over, and %d events were given back to their queue", len(held))

    def _is_drained(self) -> bool:
        return self._is_empty is not None and self._is_idle() and self._is_empty() and self._is_idle()

    def _is_idle(self) -> bool:
        return not self._progress.is_busy and not self._state.reserved_requests
