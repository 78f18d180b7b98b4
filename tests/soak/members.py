"""The list of members that a browser keeps, and where what it is told does not fit."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Members"]


class Members:
    """Who is on one presence channel, as one client is told; *mistakes* are what it cannot have been told."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self.ids: set[str] = set()
        self.mistakes: list[str] = []

    def subscribed(self, ids: Sequence[str], count: int) -> None:
        """Begin anew, with those whom the acknowledgement names."""
        self.ids = set(ids)
        if not len(ids) == len(self.ids) == count:
            self.mistakes.append(
                f"{count} members, of {len(self.ids)} names, on {self._channel}: {list(ids)}"
            )

    def added(self, user_id: str) -> None:
        """Add one who was not there."""
        if user_id in self.ids:
            self.mistakes.append(f"{user_id} came to {self._channel}, and was there already")
        self.ids.add(user_id)

    def removed(self, user_id: str) -> None:
        """Remove one who was there."""
        if user_id not in self.ids:
            self.mistakes.append(f"{user_id} left {self._channel}, and was not there")
        self.ids.discard(user_id)
