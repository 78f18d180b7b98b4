"""What was measured, kept in a file: tables, and for each benchmark the machine that they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.report import Table

__all__ = ["Result", "Results", "load", "save"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found, and where."""

    machine: Mapping[str, str]
    tables: Sequence[Table]


Results: TypeAlias = dict[str, Result]
"""By the name of the benchmark."""


def load(path: Path) -> Results:
    """Read results; there are none where there is no file."""
    if not path.exists():
        return {}
    return {
        name: Result(found["machine"], [Table(**table) for table in found["tables"]])
        for name, found in json.loads(path.read_text("utf-8")).items()
    }


def save(path: Path, results: Results) -> None:
    """Write *results*; those of other benchmarks that are there stay."""
    whole = {**load(path), **results}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {name: asdict(result) for name, result in whole.items()}
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
