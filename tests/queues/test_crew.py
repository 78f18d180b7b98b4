from __future__ import annotations

import threading

import pytest

from broadcaster.queues._crew import Crew
from tests.queues.contract import SECONDS


def test_who_does_not_end_in_time_is_left_behind() -> None:
    over, let_go = threading.Event(), threading.Event()
    over.set()
    crew = Crew(lambda: _wait(let_go), count=2, name="crew", is_over=over.is_set, stop=over.set)

    crew.run(grace=0.01)

    assert not crew.has_ended
    let_go.set()


def test_one_that_breaks_stops_the_others_and_is_told() -> None:
    over = threading.Event()
    numbers = iter([1, 2])

    def work() -> None:
        if next(numbers) == 1:
            raise ZeroDivisionError
        _wait(over)

    crew = Crew(work, count=2, name="crew", is_over=over.is_set, stop=over.set)

    with pytest.raises(ZeroDivisionError):
        crew.run(grace=SECONDS)

    assert crew.has_ended


def _wait(event: threading.Event) -> None:
    assert event.wait(SECONDS)
