"""What was there lately: within a time, and no more than so much."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Recent"]

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers values for *seconds* of any clock, and of them the latest *most*."""

    __slots__ = ("_held", "_most", "_now", "_seconds")

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._now = 0.0
        self._held: dict[K, tuple[float, V]] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: K) -> bool:
        return key in self._held

    def get(self, key: K) -> V | None:
        """Return what is remembered under *key*, or None."""
        held = self._held.get(key)
        return held[1] if held is not None else None

    def put(self, key: K, value: V) -> None:
        """Remember *value* as the latest; what was there under *key* is forgotten."""
        self._held.pop(key, None)
        if self._seconds <= 0 or self._most <= 0:
            return
        self._held[key] = (self._now, value)
        if len(self._held) > self._most:
            del self._held[next(iter(self._held))]

    def drop(self, key: K) -> None:
        """Forget what is under *key*, if anything is."""
        self._held.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()

    def resize(self, *, seconds: float, most: int) -> None:
        """Remember as much as that from now on."""
        self._seconds, self._most = seconds, most
        while len(self._held) > max(most, 0):
            del self._held[next(iter(self._held))]

    def tick(self, now: float) -> None:
        """Tell the time, and forget what is older."""
        self._now = now
        while self._held and self._held[oldest := next(iter(self._held))][0] < now - self._seconds:
            del self._held[oldest]
