"""A gate: many use what one of them closes, and none of them finds it closed in the middle."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from broadcaster.drivers._processes import PerProcess

__all__ = ["Gate"]

_SECONDS = 5.0


class Gate:
    """Threads pass it to use connections, and shut it to close them; nobody waits for longer than seconds."""

    def __init__(self) -> None:
        # A child must not wait for threads of its parent.
        self._gates = PerProcess(_Gate)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside; whoever is already, does not wait."""
        gate = self._gates.value
        gate.enter()
        try:
            yield
        finally:
            gate.leave()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Be alone, as soon as the others have left."""
        gate = self._gates.value
        gate.shut()
        try:
            yield
        finally:
            gate.open()


class _Gate:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._closing: Counter[int] = Counter()

    def enter(self) -> None:
        me = threading.get_ident()
        with self._changed:
            # Nobody waits for itself: a signal handler may use what its thread uses, or closes.
            if me not in self._inside and me not in self._closing:
                self._changed.wait_for(lambda: not self._closing, _SECONDS)
            self._inside[me] += 1

    def leave(self) -> None:
        self._less(self._inside)

    def shut(self) -> None:
        me = threading.get_ident()
        with self._changed:
            self._closing[me] += 1
            try:
                self._changed.wait_for(lambda: not self._inside.keys() - {me}, _SECONDS)
            except BaseException:
                self.open()
                raise

    def open(self) -> None:
        self._less(self._closing)

    def _less(self, counted: Counter[int]) -> None:
        me = threading.get_ident()
        with self._changed:
            counted[me] -= 1
            if not counted[me]:
                del counted[me]
                self._changed.notify_all()
