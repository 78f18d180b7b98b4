"""What is shown to people, who have a terminal, and to programs, who get lines of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from broadcaster.encoding import encode

__all__ = ["has_terminal", "printable", "show", "write_line"]

_WHOLE = {"at", "id"}
"""What is of no use in part."""


def has_terminal() -> bool:
    """Whether people read stdout; not what FORCE_COLOR and the like say, which programs' output inherits."""
    return sys.stdout is not None and sys.stdout.isatty()


def printable(text: str) -> str:
    """Return *text* without what would steer the terminal: others wrote it."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def show(rows: Sequence[Mapping[str, object]]) -> None:
    """Show *rows*, which have the same keys, as a table, or as a line of JSON each."""
    if not has_terminal():
        for row in rows:
            write_line(row)
        return
    console = Console(highlight=False)
    if not rows:
        console.print("none")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name, no_wrap=name in _WHOLE, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    console.print(table)


def write_line(fields: Mapping[str, object]) -> None:
    """Write *fields* to stdout as a line of JSON, at once."""
    line = encode(dict(fields))
    try:
        sys.stdout.write(line + "\n")
    except UnicodeEncodeError:
        # A stdout that is not in UTF-8 gets the same in ASCII.
        sys.stdout.write(json.dumps(json.loads(line)) + "\n")
    sys.stdout.flush()


def _cell(value: object) -> str:
    match value:
        case None:
            return "?"
        case bool():
            return "yes" if value else "no"
    return printable(str(value))
