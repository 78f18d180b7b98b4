from __future__ import annotations

import pytest

from tests.soak.accounts import Heard, Record, Window
from tests.soak.findings import Findings, Struck

STRUCK = [Struck("drain", Window(10.0, 20.0), 1.0, 2.5, 4.0, 5.0, 6.25)]
SENT = {"room-0": [5.0, 15.0, 25.0], "kept-0": [5.0, 15.0, 25.0]}


def findings(
    plain: list[int],
    kept: list[int],
    *,
    gaps: list[float] | None = None,
    mistakes: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
) -> Findings:
    heard = {"room-0": Heard(), "kept-0": Heard(gaps=gaps or [])}
    for channel, numbers in (("room-0", plain), ("kept-0", kept)):
        for number in numbers:
            heard[channel].add(number, SENT[channel][number] + 0.25)
    return Findings.of(STRUCK, SENT, [Record(heard)], seconds=3.0, mistakes=mistakes, problems=problems)


def test_all_is_well_where_only_what_was_sent_inside_a_fault_is_lost() -> None:
    found = findings([0, 2], [0, 2], gaps=[16.0])

    assert found.is_well
    assert (found.plain[0].lost, found.kept[0].lost) == (1, 1)


def test_what_has_to_be_0_is_counted() -> None:
    found = findings([1, 1], [1, 1, 2, 2], mistakes=("ann came twice",), problems=("a node ended with 1",))

    assert not found.is_well
    assert found.zeros == {
        "lost outside the faults": 3,
        "duplicated outside the faults": 1,
        "lost silently with a history": 1,
        "duplicated with a history": 2,
        "presence mistakes": 1,
        "other problems": 1,
    }


@pytest.mark.parametrize(
    "one",
    [
        findings([0, 1], [0, 1, 2]),
        findings([0, 1, 2, 2], [0, 1, 2]),
        findings([0, 1, 2], [0, 2]),
        findings([0, 1, 2], [0, 1, 1, 2]),
        findings([0, 1, 2], [0, 1, 2], mistakes=("ann came twice",)),
        findings([0, 1, 2], [0, 1, 2], problems=("a node ended with 1",)),
    ],
)
def test_each_of_them_alone_is_not_well(one: Findings) -> None:
    assert not one.is_well
    assert sum(map(bool, one.zeros.values())) == 1


def test_the_tables_have_a_row_for_each_fault_and_one_for_all_of_them() -> None:
    recovery, plain, *_ = findings([0, 2], [0, 1, 2]).tables

    assert recovery.rows == [("drain", "1.0", "2.5", "4.0", "5.0", "6.2")]
    assert [row[:5] for row in plain.rows] == [
        ("outside the faults", 2, 2, 2, 0),
        ("1. drain", 1, 1, 0, 1),
        ("inside all of them", 1, 1, 0, 1),
    ]
