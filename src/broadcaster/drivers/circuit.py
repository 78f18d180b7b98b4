"""When a peer that keeps failing is left alone, and when it is tried again."""

from __future__ import annotations

import threading

__all__ = ["Circuit"]


class Circuit:
    """A circuit breaker for one peer; it reads no clock, times are seconds of one monotonic clock.

    After *failures* failures in a row it is open for *cooldown* seconds. Then one attempt is let through
    each *cooldown* seconds, until one succeeds and closes it.
    """

    def __init__(self, *, failures: int, cooldown: float) -> None:
        self._most = failures
        self.cooldown = cooldown
        self._failures = 0
        self._shut_until: float | None = None
        self._lock = threading.Lock()

    def lets_through(self, now: float) -> bool:
        """Whether to make an attempt now; on an open circuit that is for one caller at a time."""
        with self._lock:
            if self._shut_until is None:
                return True
            if now < self._shut_until:
                return False
            self._shut_until = now + self.cooldown
            return True

    def succeeded(self) -> bool:
        """Note an attempt that succeeded; return whether that closed an open circuit."""
        # The road of almost every message: nothing to change, so nothing to lock.
        if not self._failures and self._shut_until is None:
            return False
        with self._lock:
            was_open = self._shut_until is not None
            self._failures, self._shut_until = 0, None
            return was_open

    def failed(self, now: float) -> bool:
        """Note an attempt that failed; return whether that opened the circuit."""
        with self._lock:
            was_open = self._shut_until is not None
            self._failures += 1
            if self._failures >= self._most:
                self._shut_until = now + self.cooldown
            return self._shut_until is not None and not was_open
