"""The pages that show figures: they show those of the results, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.pages import pages, written
from benchmarks.report import Table
from benchmarks.results import Result, load, save

_DOCS = Path(__file__).parents[2] / "docs"
_RESULTS = {
    "fanout": Result(
        {"date": "2026-01-02", "processor": "2 x X", "system": "Linux", "python": "3.11", "packages": "a 1"},
        [Table("fanout: to all", ("server", "CPU us"), [("ours", 1.234), ("theirs", 5_678)])],
    )
}


@pytest.mark.parametrize("page", list(pages(_DOCS)), ids=lambda page: page.name)
def test_a_page_shows_the_results_that_are_kept(page: Path) -> None:
    text = page.read_text("utf-8")

    assert written(text, load(_DOCS / "benchmarks" / "results.json")) == text


def test_figures_take_the_place_of_older_ones() -> None:
    page = "Before.\n\n<!-- figures: fanout 0 -->\nold\n<!-- end of figures -->\n\nAfter.\n"

    assert written(page, _RESULTS) == (
        "Before.\n\n<!-- figures: fanout 0 -->\n\n*fanout: to all*\n\n"
        "| server | CPU us |\n| --- | --- |\n| ours | 1.23 |\n| theirs | 5,678 |\n\n"
        "<!-- end of figures -->\n\nAfter.\n"
    )


def test_figures_that_nobody_has_measured_are_an_error() -> None:
    with pytest.raises(KeyError, match="slow"):
        written("<!-- figures: slow 0 -->\n<!-- end of figures -->", _RESULTS)


def test_results_of_other_benchmarks_stay(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save(file, _RESULTS)

    save(file, {"slow": _RESULTS["fanout"]})

    assert list(load(file)) == ["fanout", "slow"]
    assert load(file)["fanout"].tables[0].rows[0] == ["ours", 1.234]
