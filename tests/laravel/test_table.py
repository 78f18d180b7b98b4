"""The page about Laravel's tests names every test of this folder, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reference" / "laravel-tests.md").read_text("utf-8")

ASSERTIONS = {
    "PusherBroadcasterTest": 9,
    "AblyBroadcasterTest": 6,
    "RedisBroadcasterTest": 8,
    "UsePusherChannelsNamesTest": 4,
    "BroadcasterTest": 37,
    "BroadcastEventTest": 10,
    "BroadcastedEventsTest": 8,
    "BroadcastManagerTest": 18,
    "SendingBroadcastsViaAnonymousEventTest": 9,
    "DatabaseEloquentBroadcastingTest": 8,
    "NotificationBroadcastChannelTest": 6,
    "ChannelListCommandTest": 2,
    "ChannelMakeCommandTest": 1,
    "HelpersTest": 2,
}
"""How many assertions each of Laravel's classes is counted to have."""


def written() -> set[str]:
    modules = [path for path in HERE.glob("test_*.py") if path.name != Path(__file__).name]
    return {
        f"{path.name}::{node.name}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def numbers(cell: str) -> Iterator[int]:
    for part in cell.split(","):
        first, _, last = part.strip().partition("-")
        yield from range(int(first), int(last or first) + 1)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of each row of the table under *heading*."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py::test_\w+)`", PAGE))

    assert sorted(named - written()) == []


def test_every_test_is_named_on_the_page() -> None:
    named = set(re.findall(r"`(test_\w+\.py::test_\w+)`", PAGE))

    assert sorted(written() - named) == []


def test_the_page_has_every_class_of_laravels() -> None:
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == list(ASSERTIONS)


@pytest.mark.parametrize("heading", ASSERTIONS)
def test_every_assertion_has_its_row(heading: str) -> None:
    cells = rows(heading)

    assert sorted(n for row in cells for n in numbers(row[0])) == [*range(1, ASSERTIONS[heading] + 1)]
    assert all(len(row) == 3 and all(row) for row in cells)
