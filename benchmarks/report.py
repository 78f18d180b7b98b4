"""Tables of figures, and how they look on the screen."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

__all__ = ["Benchmark", "Cell", "Run", "Table", "ratios", "show", "text_of"]

Cell: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True)
class Table:
    """What one benchmark found: *columns* name the cells of each row, and say their unit."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Run(Protocol):
    """Measures, quickly or well."""

    def __call__(self, *, quick: bool) -> list[Table]:
        """Return what was found."""
        ...


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Something to measure, known to the command line by its *name*; some need the *clients* in C."""

    name: str
    about: str
    run: Run
    clients: bool = False


def ratios(figures: Sequence[float], limits: Sequence[float]) -> str:
    """Return the median of the ratios of each repeat, with the smallest and the largest of them."""
    each = [figure / limit for figure, limit in zip(figures, limits, strict=True)]
    return f"{statistics.median(each):.2f} [{min(each):.2f}-{max(each):.2f}]"


def show(table: Table) -> None:
    """Print *table*."""
    rows = [[text_of(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]
    print(f"\n{table.title}")
    for row in [list(table.columns), ["-" * width for width in widths], *rows]:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *others]))


def text_of(cell: Cell) -> str:
    """Return *cell* with as many digits as mean something."""
    match cell:
        case float():
            return f"{cell:.2f}" if abs(cell) < 100 else f"{cell:,.0f}"
        case int():
            return f"{cell:,}"
        case str():
            return cell
