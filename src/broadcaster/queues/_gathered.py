"""What threads want written at the same time, written at once: they wait for one disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from broadcaster.drivers._processes import PerProcess
from broadcaster.errors import DeliveryError

__all__ = ["Gathered"]

T = TypeVar("T")


class Gathered(Generic[T]):
    """Calls *write* with what all the threads have that came while it was busy."""

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        # A child must not write what threads of its parent had, nor wait for one of these.
        self._waiting = PerProcess[_Waiting[T]](_Waiting)

    def write(self, items: Sequence[T]) -> None:
        """Return when *items* are written; raise the `DeliveryError` that *write* raises for them."""
        own, waiting = _Share(items), self._waiting.value
        with waiting.adding:
            waiting.shares.append(own)
        with waiting.writing:
            with waiting.adding:
                shares = [*waiting.shares]
            if own not in shares:
                return  # another thread has written it
            if len(shares) > 1:
                # What is wrong with one of them is no matter to the others, who write alone then.
                with suppress(DeliveryError):
                    self._write([item for share in shares for item in share.items])
                    waiting.remove(shares)
                    return
            try:
                self._write(items)
            finally:
                waiting.remove([own])


class _Share(Generic[T]):
    def __init__(self, items: Sequence[T]) -> None:
        self.items = items


class _Waiting(Generic[T]):
    def __init__(self) -> None:
        self.adding = threading.Lock()
        self.writing = threading.Lock()
        self.shares: list[_Share[T]] = []

    def remove(self, shares: Sequence[_Share[T]]) -> None:
        with self.adding:
            self.shares = [share for share in self.shares if share not in shares]
