"""How far each channel is in the history that all nodes share, here.

Its ids are made where it is kept; they have two numbers, and only there it is known which came first.
"""

from __future__ import annotations

import re

__all__ = ["NOWHERE", "Positions", "is_id"]

NOWHERE = "0-0"
"""An id that no event has: whoever comes back with it has a gap."""

_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")


def is_id(text: str) -> bool:
    """Whether a history might have made this id."""
    return _ID.fullmatch(text) is not None


class Positions:
    """The latest id of each channel of which this node hears all that is new."""

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}

    def at(self, channel: str) -> str:
        """Return the id that a client has who has heard everything up to now."""
        return self._latest.get(channel, NOWHERE)

    def begin(self, channel: str, latest: str) -> None:
        """Hear what is new after *latest*."""
        self._latest[channel] = latest

    def advance(self, channel: str, latest: str) -> None:
        """Go on to *latest*, where the channel has begun."""
        if channel in self._latest:
            self._latest[channel] = latest

    def drop(self, channel: str) -> None:
        """Hear no more of a channel; harmless where it has not begun."""
        self._latest.pop(channel, None)
