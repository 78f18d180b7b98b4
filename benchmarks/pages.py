"""The pages that show figures: what stands there between two marks is written from the results.

`<!-- figures: NAME NUMBER -->` is followed by a table of a benchmark, counted from 0, and
`<!-- figures: machines -->` by what they were measured on; each ends at `<!-- end of figures -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Table, text_of
from benchmarks.results import Results

__all__ = ["pages", "written"]

_FIGURES = re.compile(r"(<!-- figures: ([\w ]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def pages(docs: Path) -> Iterator[Path]:
    """Yield the pages beneath *docs*, and the README beside it, that show figures."""
    for page in [docs.parent / "README.md", *sorted(docs.rglob("*.md"))]:
        if page.exists() and _FIGURES.search(page.read_text("utf-8")):
            yield page


def written(page: str, results: Results) -> str:
    """Return *page* with its figures; raise KeyError or IndexError for those that nobody has measured."""

    def figures(found: re.Match[str]) -> str:
        name, _, number = found[2].partition(" ")
        lines = _machines(results) if name == "machines" else _table(results[name].tables[int(number)])
        return "\n".join([found[1], *lines, "", found[3]])

    return _FIGURES.sub(figures, page)


def _table(table: Table) -> list[str]:
    rows = [list(table.columns), ["---"] * len(table.columns)]
    rows += [[text_of(cell) for cell in row] for row in table.rows]
    return [f"*{table.title}*", "", *(f"| {' | '.join(row)} |" for row in rows)]


def _machines(results: Results) -> list[str]:
    """Say which benchmarks ran where: most of them on the same machine, on the same day."""
    names: dict[str, list[str]] = {}
    for name, result in results.items():
        about = ", ".join(
            result.machine[key] for key in ("date", "processor", "system", "python", "packages")
        )
        names.setdefault(about, []).append(name)
    return [f"- {', '.join(of_them)}: {about}" for about, of_them in names.items()]
