"""Threads that work side by side, and that are left behind where they do not end in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Crew"]

_LOOK_SECONDS = 0.2


class Crew:
    """Does *work* in *count* threads at once, until each returns.

    *is_over* tells when they should, and *stop* has them do so: it is called where one raises. They do not
    keep the process from ending.
    """

    def __init__(
        self,
        work: Callable[[], None],
        *,
        count: int,
        name: str,
        is_over: Callable[[], bool],
        stop: Callable[[], None],
    ) -> None:
        self._work = work
        self._is_over = is_over
        self._stop = stop
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._watched, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    @property
    def has_ended(self) -> bool:
        """Whether none of them is at work."""
        return not any(thread.is_alive() for thread in self._threads)

    def run(self, *, grace: float) -> None:
        """Return when all have ended, or *grace* seconds after it was over; raise what one of them raised."""
        for thread in self._threads:
            thread.start()
        ends = float("inf")
        while working := [thread for thread in self._threads if thread.is_alive()]:
            now = time.monotonic()
            if ends == float("inf") and self._is_over():
                ends = now + grace
            if now >= ends:
                break
            working[0].join(min(_LOOK_SECONDS, ends - now))
        if self._error is not None:
            raise self._error

    def _watched(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by `run()`
            self._error = error
            self._stop()
