from __future__ import annotations

from broadcaster.queues._progress import Progress
from broadcaster.queues.outcomes import Outcome, Verdict
from broadcaster.queues.working import WorkOptions

DONE = Outcome(Verdict.DELIVERED)


def test_a_worker_claims_no_more_than_it_may_do() -> None:
    told: list[Outcome] = []
    progress = Progress(WorkOptions(max_jobs=2), told.append)

    assert [progress.claim(), progress.claim(), progress.claim()] == [True, True, False]

    over = []
    for _ in range(2):
        progress.finish(DONE)
        over.append(progress.is_over)
    assert over == [False, True]
    assert told == [DONE, DONE]


def test_what_is_given_back_was_not_done() -> None:
    told: list[Outcome] = []
    progress = Progress(WorkOptions(once=True), told.append)

    claimed, busy = progress.claim(), [progress.is_busy]
    progress.finish(None)
    busy.append(progress.is_busy)

    assert busy == [True, False]
    assert [claimed, progress.is_over, progress.claim()] == [True, False, True]
    assert told == []


def test_a_worker_is_over_when_its_time_is_or_when_it_is_told() -> None:
    late = Progress(WorkOptions(max_seconds=0.0), lambda outcome: None)
    stopped = Progress(WorkOptions(), lambda outcome: None)

    stopped.stop()

    assert [late.is_over, stopped.is_over] == [True, True]
