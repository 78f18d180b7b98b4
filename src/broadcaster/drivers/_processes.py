"""Something to hold for each process: what a child inherits by a fork is not its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """One value for each process, made by *opened* on first use.

    A child shares its parent's sockets, and must neither use nor close them.
    """

    def __init__(self, opened: Callable[[], T]) -> None:
        self._opened = opened
        self._held: dict[int, T] = {}

    @property
    def held(self) -> T | None:
        """What this process has made, if anything."""
        return self._held.get(os.getpid())

    def dropped(self) -> T | None:
        """Return what this process has made, if anything, and make another one on the next use."""
        return self._held.pop(os.getpid(), None)

    @property
    def value(self) -> T:
        """What this process uses."""
        held = self.held
        return self._held.setdefault(os.getpid(), self._opened()) if held is None else held
