"""How often somebody may do something."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Holds up to *burst* turns, and gets *per_second* back; 0 for *per_second* lets every turn pass."""

    __slots__ = ("_at", "_turns")

    def __init__(self) -> None:
        self._at: float | None = None
        self._turns = 0.0

    def take(self, now: float, *, per_second: float, burst: float) -> bool:
        """Take one turn; False where there is none left, which costs nothing."""
        if per_second <= 0:
            return True
        if self._at is None:
            self._at, self._turns = now, burst
        self._turns = min(burst, self._turns + max(0.0, now - self._at) * per_second)
        self._at = now
        if self._turns < 1:
            return False
        self._turns -= 1
        return True
