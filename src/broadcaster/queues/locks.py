"""The locks of events of which at most one may wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from broadcaster.queues.envelopes import Envelope

__all__ = ["MemoryLocks"]

_MOST = 100_000


class MemoryLocks:
    """Locks of one process; each is held by one envelope, and for a time at the most."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}
        # A signal handler that sends may come in the middle.
        self._lock = threading.RLock()

    def take(self, envelope: Envelope) -> bool:
        """Take the lock that *envelope* wants; False where another one has it."""
        if (key := envelope.unique) is None:
            return True
        now = self._clock()
        with self._lock:
            owner, until = self._held.pop(key, ("", now))
            if until > now and owner != envelope.message.id:
                self._held[key] = owner, until
                return False
            self._held[key] = envelope.message.id, now + envelope.unique_for
            if len(self._held) > _MOST:
                del self._held[next(iter(self._held))]
        return True

    def give_back(self, envelope: Envelope) -> None:
        """Give it back, if *envelope* has it."""
        if (key := envelope.unique) is not None:
            with self._lock:
                if self._held.get(key, ("", 0.0))[0] == envelope.message.id:
                    del self._held[key]
