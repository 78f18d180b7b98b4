from __future__ import annotations

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


def test_nothing_is_wrong_where_only_what_was_sent_inside_a_fault_is_lost() -> None:
    found = findings([0, 2], [0, 2], gaps=[16.0])

    assert found.not_zero == []
    assert (found.plain[0].lost, found.kept[0].lost) == (1, 1)


def test_what_ought_to_be_none_is_told_with_its_number() -> None:
    found = findings([1, 1], [1, 1, 2, 2], mistakes=("ann came twice",), problems=("a node ended with 1",))

    assert found.not_zero == [
        "lost outside the faults: 3",
        "duplicated outside the faults: 1",
        "lost silently with a history: 1",
        "duplicated with a history: 2",
        "presence mistakes: 1",
        "a node ended with 1",
    ]


def test_a_loss_inside_a_fault_that_nobody_is_told_of_is_wrong_with_a_history_only() -> None:
    assert findings([0, 2], [0, 2]).not_zero == ["lost silently with a history: 1"]


def test_the_tables_have_a_row_for_each_fault_and_one_for_all_of_them() -> None:
    recovery, plain, _ = findings([0, 2], [0, 1, 2]).tables

    assert recovery.rows == [("drain", "1.0", "2.5", "4.0", "5.0", "6.2")]
    assert [row[:5] for row in plain.rows] == [
        ("outside the faults", 2, 2, 2, 0),
        ("1. drain", 1, 1, 0, 1),
        ("inside all of them", 1, 1, 0, 1),
    ]
