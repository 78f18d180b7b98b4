"""Servers measured in turns, A B C A B C: what disturbs the machine for a while disturbs all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from benchmarks.load import Clients
from benchmarks.machine import raise_file_limit, two_cores
from benchmarks.report import Cell, Table, ratios
from benchmarks.running import NotHere, Running, Server
from benchmarks.servers import SERVERS

__all__ = ["Rounds"]

T = TypeVar("T")


class Rounds(Generic[T]):
    """What was *found* of each server, once for each repeat; and of those not *absent* why not."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self._servers = servers
        self.found: dict[str, list[T]] = {}
        self.absent: dict[str, str] = {}

    def run(self, measure: Callable[[Running, Clients], T], *, repeats: int) -> Rounds[T]:
        """Start each server anew for each repeat, and measure it with clients of its own."""
        raise_file_limit()
        with two_cores() as core:
            for _ in range(repeats):
                for name in self._servers:
                    if name not in self.absent:
                        self._measure(name, measure, core)
        return self

    def table(
        self, title: str, columns: Sequence[str], figures: Callable[[T], Sequence[float]], *, against: str
    ) -> Table:
        """Return the medians of the *figures* of each server, and the ratio of the first one of them.

        The ratio is that to the server *against*. *columns* name the figures; a server that is not here has
        its reason instead.
        """
        first = [figures(each)[0] for each in self.found[against]]
        rows: list[Sequence[Cell]] = []
        for name in self._servers:
            if name in self.absent:
                rows.append((name, *("-" for _ in columns), self.absent[name]))
                continue
            each = [figures(found) for found in self.found[name]]
            medians = [statistics.median(figure) for figure in zip(*each, strict=True)]
            rows.append((name, *medians, ratios([figure[0] for figure in each], first)))
        return Table(title, ("server", *columns, f"{columns[0]}: to {against.partition(':')[0]}"), rows)

    def _measure(self, name: str, measure: Callable[[Running, Clients], T], core: int | None) -> None:
        try:
            with self._servers[name](core) as server, Clients() as clients:
                self.found.setdefault(name, []).append(measure(server, clients))
        except NotHere as missing:
            self.absent[name] = f"not here: {missing}"
        except (AssertionError, EOFError, OSError, RuntimeError) as error:
            # What a peer cannot do is its figure; what ours cannot do is no figure at all.
            if name in SERVERS:
                raise
            self.absent[name] = f"failed: {error}"
