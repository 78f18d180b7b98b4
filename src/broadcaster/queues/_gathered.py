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
    """Calls *write* with what all the threads have that came while it was busy; *name* is in errors."""

    def __init__(self, write: Callable[[Sequence[T]], None], *, name: str) -> None:
        self._write = write
        self._name = name
        # A child must not write what threads of its parent had, nor wait for one of these.
        self._waiting = PerProcess[_Waiting[T]](_Waiting)

    def write(self, items: Sequence[T]) -> None:
        """Return when *items* are written; raise the `DeliveryError` that *write* raises for them."""
        own, waiting, thread = _Share(items), self._waiting.value, threading.get_ident()
        if thread in waiting.threads:
            reason = "this thread is writing to it already; a signal handler that sends must do so in another"
            raise DeliveryError(reason, driver=self._name, retryable=True)
        try:
            waiting.threads.add(thread)
            waiting.add(own)
            with waiting.writing:
                try:
                    # If not, another thread has written it.
                    if own in (shares := waiting.all()):
                        self._write_all(own, shares, waiting)
                finally:
                    # While it is this one's turn: the next one would write it once more.
                    waiting.remove([own])
        finally:
            # What this raises for, nobody else may write afterwards.
            try:
                waiting.remove([own])
            finally:
                waiting.threads.discard(thread)

    def _write_all(self, own: _Share[T], shares: Sequence[_Share[T]], waiting: _Waiting[T]) -> None:
        if len(shares) > 1:
            # What is wrong with one of them is no matter to the others, who write alone then.
            with suppress(Exception):
                self._write([item for share in shares for item in share.items])
                waiting.remove(shares)
                return
        self._write(own.items)


class _Share(Generic[T]):
    def __init__(self, items: Sequence[T]) -> None:
        self.items = items


class _Waiting(Generic[T]):
    def __init__(self) -> None:
        self.adding = threading.Lock()
        self.writing = threading.Lock()
        self.shares: list[_Share[T]] = []
        self.threads: set[int] = set()

    def add(self, share: _Share[T]) -> None:
        with self.adding:
            self.shares.append(share)

    def all(self) -> list[_Share[T]]:
        with self.adding:
            return [*self.shares]

    def remove(self, shares: Sequence[_Share[T]]) -> None:
        with self.adding:
            self.shares = [share for share in self.shares if share not in shares]
