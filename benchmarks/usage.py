"""What processes have used, read from outside: CPU, memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Spent", "Usage", "files_of", "usage_of"]

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU, bytes of resident memory, now and at most.

    All CPU is counted to the nanosecond, that of user space to the tick.
    """

    cpu: float
    user: float
    memory: int
    peak: int

    def __sub__(self, before: Self) -> Usage:
        return Usage(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Spent:
    """What *count* of something *used*, and how many seconds they took."""

    count: int
    used: Usage
    seconds: float

    @property
    def cpu(self) -> float:
        """Microseconds of CPU for each."""
        return self.used.cpu / self.count * 1e6

    @property
    def rate(self) -> int:
        """How many there were in a second."""
        return round(self.count / self.seconds)


def usage_of(pids: Iterable[int]) -> Usage:
    """Return what *pids* and the processes they have started use now; what has ended does not count."""
    found = [_usage(pid) for root in pids for pid in _tree(root)]
    return Usage(*(sum(getattr(each, name) for each in found) for name in Usage.__slots__))


def files_of(pids: Iterable[int]) -> int:
    """Return how many files, and so connections, *pids* have open."""
    return sum(1 for pid in pids for _ in Path(f"/proc/{pid}/fd").iterdir())


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text("ascii").split():
            yield from _tree(int(child))


def _usage(pid: int) -> Usage:
    # The scheduler counts nanoseconds where the accounting of user and system counts ticks.
    schedstats = [task.read_text("ascii") for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    ticks = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11]
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return Usage(
        cpu=sum(int(stat.split()[0]) for stat in schedstats) / 1e9,
        user=int(ticks) / _TICK,
        memory=_size("VmRSS", status),
        peak=_size("VmHWM", status),
    )


def _size(name: str, status: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
