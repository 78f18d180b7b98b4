"""Figures drawn: one bar for each server, grey on whatever the page has, ours in colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.report import Cell, Table, text_of
from benchmarks.results import Results

__all__ = ["draw"]

_INK = "#7a7f87"
"""Seen as well on white as on black."""
_OURS, _LIMIT, _OTHERS = "#2f81f7", "#7a7f87", "#b9bec6"
_INCHES = 7.5
_INCHES_EACH = 0.32


@dataclass(frozen=True, slots=True)
class _Plot:
    """One column of one table: *less* says that the smaller figure is the better one."""

    file: str
    benchmark: str
    table: int
    column: int
    title: str
    less: bool = True


_PLOTS = [
    _Plot("fanout-1000", "fanout", 0, 1, "CPU of a delivery, microseconds: 1,000 subscribers"),
    _Plot("fanout-5000", "fanout", 1, 1, "CPU of a delivery, microseconds: 5,000 subscribers"),
    _Plot("burst", "fanout", 2, 1, "CPU of a delivery, microseconds: 100 events at once to 1,000"),
    _Plot("steady", "fanout", 3, 5, "99 of 100 deliveries within, milliseconds: 10 events a second to 1,000"),
    _Plot("memory", "connections", 0, 2, "Memory of an idle connection, KB"),
    _Plot("handshakes", "connections", 0, 1, "CPU of a handshake with a subscription, microseconds"),
    _Plot("api", "api", 1, 2, "Signed requests in a second, 16 at a time", less=False),
]


def draw(folder: Path, results: Results) -> None:
    """Write `NAME.svg` for all that *results* have figures for."""
    # Text stays text, and the same figures make the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "broadcaster"}):
        for plot in _PLOTS:
            tables = results[plot.benchmark].tables if plot.benchmark in results else ()
            if len(tables) > plot.table:
                _draw(folder / f"{plot.file}.svg", plot, tables[plot.table])


def _draw(path: Path, plot: _Plot, table: Table) -> None:
    rows = sorted(_measured(table.rows, plot.column), key=lambda row: row[1], reverse=plot.less)
    names, values = [name for name, _ in rows], [value for _, value in rows]
    figure = Figure(figsize=(_INCHES, 0.8 + _INCHES_EACH * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(names, values, color=[_colour(name) for name in names])
    # A peer may take a hundred times as much as the others, which would leave nothing to see of them.
    is_wide = max(values) > 20 * min(values)
    axes.set_xscale("log" if is_wide else "linear")
    axes.bar_label(bars, [text_of(value) for value in values], padding=3, color=_INK)
    axes.margins(x=0.12)
    notes = "less is better" if plot.less else "more is better"
    notes += "; logarithmic" if is_wide else ""
    # Of the whole figure: beside long names the axes have no room for it.
    figure.suptitle(f"{plot.title} ({notes})", color=_INK, fontsize=10, x=0.01, ha="left")
    axes.tick_params(colors=_INK)
    axes.xaxis.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.savefig(path, transparent=True, metadata={"Date": None})


def _measured(rows: Sequence[Sequence[Cell]], column: int) -> list[tuple[str, float]]:
    """Return names and figures; who has none, or nothing, has no bar."""
    return [(str(row[0]), float(row[column])) for row in rows if _is_figure(row[column])]


def _is_figure(cell: Cell) -> bool:
    return isinstance(cell, int | float) and cell >= 0.01


def _colour(name: str) -> str:
    if name.startswith(("broadcaster", "AsgiServer")):
        return _OURS
    return _LIMIT if name.startswith("limit") else _OTHERS
