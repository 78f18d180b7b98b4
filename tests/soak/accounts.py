"""What was sent beside what was heard: delivered, lost, told to be missing and duplicated, fault by fault."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Account", "Heard", "Record", "Window", "account"]

_SLACK = 1.0
"""So many seconds before and after it was away, a client that lost something was not quite there."""


@dataclass(slots=True)
class Heard:
    """What one client heard on one channel: numbers, when each came, and when a gap was told."""

    numbers: array[int] = field(default_factory=lambda: array("L"))
    times: array[float] = field(default_factory=lambda: array("d"))
    gaps: list[float] = field(default_factory=list)

    def add(self, number: int, at: float) -> None:
        self.numbers.append(number)
        self.times.append(at)


@dataclass(slots=True)
class Record:
    """What one client heard on its channels, and from when to when it was not on all of them."""

    heard: dict[str, Heard]
    away: list[tuple[float, float]] = field(default_factory=list)

    def was_away(self, at: float) -> bool:
        """Whether it was, more or less then."""
        return any(start - _SLACK <= at <= end + _SLACK for start, end in self.away)


@dataclass(frozen=True, slots=True)
class Window:
    """The time from a fault until everybody had recovered from it."""

    start: float
    end: float

    def recovery(self, records: Iterable[Record]) -> tuple[float, float] | None:
        """Return after how many seconds the first client was back, and the last; None if none had gone."""
        ends = [end for record in records for start, end in record.away if self.start <= start < self.end]
        return (min(ends) - self.start, max(ends) - self.start) if ends else None


@dataclass(slots=True)
class Account:
    """What became of some messages, each of which was for some clients; *most* are those of one client."""

    sent: int = 0
    expected: int = 0
    delivered: int = 0
    lost: int = 0
    lost_there: int = 0
    """Those lost to clients that were connected all the time."""
    lost_silently: int = 0
    """Those of which the client was not told, by a gap, that it may have missed something."""
    most_lost: int = 0
    duplicated: int = 0
    most_duplicated: int = 0
    slowest: float = 0.0
    """After how many seconds the last of them was delivered."""


def account(
    sent: Mapping[str, Sequence[float]],
    records: Iterable[Record],
    windows: Sequence[Window],
    *,
    seconds: float,
) -> dict[int | None, Account]:
    """Compare what was sent with what each client heard; by the number of the window, None for outside.

    *sent* has the time of each message of a channel, in the order of their numbers. A message belongs to a
    window unless it was sent after it, or more than *seconds* before it.
    """
    return _Ledger(sent, windows, seconds).compare(records)


class _Ledger:
    def __init__(
        self, sent: Mapping[str, Sequence[float]], windows: Sequence[Window], seconds: float
    ) -> None:
        self._sent = sent
        self._windows = windows
        self._seconds = seconds
        self._accounts: dict[int | None, Account] = {
            place: Account() for place in (*range(len(windows)), None)
        }
        self._places = {channel: [self._place(at) for at in times] for channel, times in sent.items()}

    def compare(self, records: Iterable[Record]) -> dict[int | None, Account]:
        for places in self._places.values():
            for place in places:
                self._accounts[place].sent += 1
        for record in records:
            lost: Counter[int | None] = Counter()
            again: Counter[int | None] = Counter()
            for channel in record.heard.keys() & self._sent.keys():
                self._compare(channel, record, lost, again)
            for place, found in self._accounts.items():
                found.most_lost = max(found.most_lost, lost[place])
                found.most_duplicated = max(found.most_duplicated, again[place])
        return self._accounts

    def _place(self, at: float) -> int | None:
        place = bisect_left(self._windows, at, key=lambda window: window.end)
        return place if self._windows[place:] and self._windows[place].start < at + self._seconds else None

    def _compare(
        self, channel: str, record: Record, lost: Counter[int | None], again: Counter[int | None]
    ) -> None:
        """Note what became of the messages of one channel with one client; *lost* and *again* are its own."""
        times, places, heard = self._sent[channel], self._places[channel], record.heard[channel]
        often = Counter(heard.numbers)
        for number, at in zip(heard.numbers, heard.times, strict=True):
            found = self._accounts[places[number]]
            found.slowest = max(found.slowest, at - times[number])
        for number, (at, place) in enumerate(zip(times, places, strict=True)):
            found = self._accounts[place]
            found.expected += 1
            if count := often[number]:
                found.delivered += 1
                found.duplicated += count - 1
                again[place] += count - 1
                continue
            found.lost += 1
            found.lost_there += not record.was_away(at)
            found.lost_silently += not self._is_told(heard, at, place)
            lost[place] += 1

    def _is_told(self, heard: Heard, at: float, place: int | None) -> bool:
        # A gap that is told in a later window is not about this one.
        end = at if place is None else self._windows[place].end
        return any(at <= told <= end + self._seconds for told in heard.gaps)
