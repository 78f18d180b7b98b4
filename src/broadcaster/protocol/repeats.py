"""Which messages were pushed lately, so that one that comes again is not shown twice."""

from __future__ import annotations

__all__ = ["Repeats"]


class Repeats:
    """Remembers ids by channel for *window* seconds, and of them the latest *most*."""

    __slots__ = ("_most", "_now", "_seen", "_window")

    def __init__(self, *, window: float, most: int) -> None:
        self._window = window
        self._most = most
        self._now = 0.0
        self._seen: dict[tuple[str, str], float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, message_id: str, channel: str) -> bool:
        """Whether that message was not on *channel* within the window; from now on it was."""
        if self._window <= 0:
            return True
        key = (message_id, channel)
        if key in self._seen:
            return False
        self._seen[key] = self._now
        if len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return True

    def tick(self, now: float) -> None:
        """Tell the time, in seconds of any clock, and forget what is older than the window."""
        self._now = now
        while self._seen and self._seen[oldest := next(iter(self._seen))] < now - self._window:
            del self._seen[oldest]
