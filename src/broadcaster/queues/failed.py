"""The failed store: what was given up, kept until somebody looks at it."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Failed", "FailedStore", "MemoryFailedStore"]


@dataclass(frozen=True, slots=True)
class Failed:
    """What was given up: the *body* of the envelope, byte for byte; *at* which Unix time; the *reason*.

    *queue*, *name* and *driver* are empty where the body could not be read.
    """

    body: bytes = field(repr=False)
    reason: str
    at: float
    queue: str = ""
    name: str = ""
    driver: str = ""
    id: str = ""


class FailedStore(Protocol):
    """Keeps what failed; every method may be called in any thread. `OSError` where it cannot be reached."""

    def add(self, failed: Failed) -> str:
        """Keep it; return the id that it has from now on."""
        ...

    def list(self, *, most: int = 100) -> Sequence[Failed]:
        """Return the latest, newest first."""
        ...

    def count(self) -> int:
        """Return how many there are."""
        ...

    def find(self, failed_id: str) -> Failed | None:
        """Return the one with that id, or None."""
        ...

    def forget(self, failed_id: str) -> bool:
        """Drop one; False when there is none."""
        ...

    def flush(self) -> int:
        """Drop all; return how many there were."""
        ...


class MemoryFailedStore:
    """Keeps the latest *most* in this process."""

    def __init__(self, *, most: int = 1_000) -> None:
        self._most = most
        self._kept: OrderedDict[str, Failed] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, failed: Failed) -> str:
        """See `FailedStore.add()`; the oldest makes room."""
        with self._lock:
            failed_id = str(next(self._numbers))
            self._kept[failed_id] = Failed(
                failed.body, failed.reason, failed.at, failed.queue, failed.name, failed.driver, failed_id
            )
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return failed_id

    def list(self, *, most: int = 100) -> Sequence[Failed]:
        """See `FailedStore.list()`."""
        with self._lock:
            return [*reversed(self._kept.values())][:most]

    def count(self) -> int:
        """See `FailedStore.count()`."""
        return len(self._kept)

    def find(self, failed_id: str) -> Failed | None:
        """See `FailedStore.find()`."""
        return self._kept.get(failed_id)

    def forget(self, failed_id: str) -> bool:
        """See `FailedStore.forget()`."""
        with self._lock:
            return self._kept.pop(failed_id, None) is not None

    def flush(self) -> int:
        """See `FailedStore.flush()`."""
        with self._lock:
            count = len(self._kept)
            self._kept.clear()
        return count
