"""The latest events of a channel, for a client that comes back and names the last one it has.

An extension: events of such a channel have an `id` beside their `data`, and so has the acknowledgement of a
subscription. Clients that do not know it pass over it. This is the history of a server that is alone; see
`positions` and `records` for one that several nodes share.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from broadcaster.protocol.limits import Limits
from broadcaster.protocol.patterns import Patterns

__all__ = ["History"]

_ID = re.compile(r"([0-9a-z]+)-([0-9]{1,18})")


@dataclass(slots=True)
class _Kept:
    """What is kept of one channel: frames, oldest first; up to the number *before* some may be missing."""

    before: int
    frames: deque[tuple[float, int, str]] = field(default_factory=deque)


class History:
    """Keeps the events of the channels that match one of *patterns*, in which `*` stands for anything.

    *epoch* tells this memory from that of an earlier server: of what was before nothing is known.
    """

    def __init__(self, patterns: tuple[str, ...], limits: Limits, *, epoch: str) -> None:
        self._epoch = epoch
        self._now = 0.0
        self._number = 0
        self._forgotten = 0  # up to this number some may be missing of a channel that is not here
        self._channels: OrderedDict[str, _Kept] = OrderedDict()  # the one that was quiet longest first
        self.update(patterns, limits)

    def update(self, patterns: tuple[str, ...], limits: Limits) -> None:
        """Go on by other rules; what is kept stays until it is too old or too much."""
        self._limits = limits
        self._patterns = Patterns(patterns)

    def keeps(self, channel: str) -> bool:
        """Whether the events of *channel* are kept."""
        return self._patterns.match(channel)

    def add(self, channel: str, frame: Callable[[str], str]) -> str:
        """Keep the next event of *channel*: *frame* makes its text, given the id."""
        self._number += 1
        text = frame(self._id(self._number))
        kept = self._channels.get(channel)
        if kept is None:
            kept = self._channels[channel] = _Kept(before=self._forgotten)
        self._channels.move_to_end(channel)
        kept.frames.append((self._now, self._number, text))
        if len(kept.frames) > self._limits.history_events:
            _, kept.before, _ = kept.frames.popleft()
        while len(self._channels) > self._limits.history_channels:
            self._forget()
        return text

    def latest(self) -> str:
        """Return the id that a client has who has heard everything up to now."""
        return self._id(self._number)

    def since(self, channel: str, last_id: str) -> list[str] | None:
        """Return what *channel* had after the event with that id; None where something may be missing."""
        found = _ID.fullmatch(last_id)
        if found is None or found[1] != self._epoch or (last := int(found[2])) > self._number:
            return None
        kept = self._channels.get(channel)
        if last < (self._forgotten if kept is None else kept.before):
            return None
        return [] if kept is None else [text for _, number, text in kept.frames if number > last]

    def tick(self, now: float) -> None:
        """Tell the time, and drop what is too old."""
        self._now = now
        oldest = now - self._limits.history_seconds
        for kept in self._channels.values():
            while kept.frames and kept.frames[0][0] < oldest:
                _, kept.before, _ = kept.frames.popleft()
        while self._channels and not next(iter(self._channels.values())).frames:
            self._forget()

    def _forget(self) -> None:
        _, kept = self._channels.popitem(last=False)
        self._forgotten = max(self._forgotten, kept.before, *(number for _, number, _ in kept.frames))

    def _id(self, number: int) -> str:
        return f"{self._epoch}-{number}"
