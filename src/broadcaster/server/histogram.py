"""A histogram of seconds, in plain numbers."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

__all__ = ["Histogram"]


class Histogram:
    """How many values fell below each of *bounds*, which are seconds in rising order."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def cumulative(self) -> list[int]:
        """How many values were at most each bound, and last how many there were."""
        return list(accumulate(self._counts))
