"""A worker of Celery's in this process, which leaves the signals to us."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from broadcaster.queues._progress import Progress

__all__ = ["CeleryWorker"]

_LOOK_SECONDS = 0.2


class CeleryWorker:
    """Does what *work* does, until *state* says that it is over.

    There may be one at a time in a process: all of Celery's workers look at that *state*. With *is_empty*
    it ends when that says so.
    """

    def __init__(
        self, work: Callable[[], None], state: Any, progress: Progress, *, is_empty: Callable[[], bool] | None
    ) -> None:
        self._work = work
        self._state = state
        self._progress = progress
        self._is_empty = is_empty
        self._ended = threading.Event()

    def run(self) -> None:
        """See `Worker.run()`."""
        if self._progress.is_over:
            return
        watch = threading.Thread(target=self._watch, name="broadcaster-watch", daemon=True)
        watch.start()
        try:
            self._work()
        finally:
            self._ended.set()
            watch.join()
            self._state.should_stop = None

    def stop(self) -> None:
        """See `Worker.stop()`."""
        self._progress.stop()

    def _watch(self) -> None:
        while not self._progress.is_over and not self._is_drained() and not self._ended.wait(_LOOK_SECONDS):
            pass
        self._state.should_stop = 0

    def _is_drained(self) -> bool:
        return self._is_empty is not None and self._is_idle() and self._is_empty() and self._is_idle()

    def _is_idle(self) -> bool:
        return not self._progress.is_busy and not self._state.reserved_requests
