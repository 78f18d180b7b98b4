from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.queues._leases import Held
from broadcaster.queues._sqlite_file import SqliteFile
from broadcaster.queues._sqlite_jobs import SqliteJobs
from broadcaster.queues.envelopes import Envelope, open_envelope, seal
from broadcaster.queues.failed import Failed
from broadcaster.queues.outcomes import Outcome, Verdict
from broadcaster.queues.sqlite_failed import SqliteFailedStore
from broadcaster.queues.working import Size
from tests.queues.contract import envelope

LEASE = 10.0


class Bench:
    """Jobs in a file, by a clock that stands still."""

    def __init__(self, path: Path) -> None:
        self.now = 1_000.0
        self.file = SqliteFile(path)
        self.jobs = SqliteJobs(self.file, lease=LEASE, clock=lambda: self.now)

    def add(self, *envelopes: Envelope) -> None:
        self.jobs.add((each, seal(each)) for each in envelopes)

    def take(self, *queues: str, most: int = 100) -> list[Held]:
        taken = self.jobs.take(queues or ("default",), most)
        return [*taken.jobs] if taken is not None else []

    def ids(self, *queues: str, most: int = 100) -> list[str]:
        return [open_envelope(held.body).message.id for held in self.take(*queues, most=most)]

    def size(self, queue: str = "default") -> Size | None:
        return self.jobs.sizes().get(queue)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "queue.sqlite3")
    yield bench
    bench.file.close()


def made(number: int = 1, **how: Any) -> Envelope:
    return envelope(number, **{"created": 1_000.0, **how})


def delivered(*jobs: Held) -> list[tuple[Held, Outcome]]:
    return [(held, Outcome(Verdict.DELIVERED)) for held in jobs]


def test_what_was_taken_is_not_taken_again_while_its_lease_lasts(bench: Bench) -> None:
    bench.add(made(1), made(2))

    assert bench.ids(most=1) == ["message-1"]
    bench.now += LEASE - 0.1
    assert bench.ids() == ["message-2"]
    assert bench.ids() == []
    bench.now += 0.2
    assert bench.ids() == ["message-1"]


def test_a_lease_that_is_renewed_lasts(bench: Bench) -> None:
    bench.add(made())
    held = bench.take()

    for _ in range(5):
        bench.now += LEASE - 1
        bench.jobs.renew(held)

    assert bench.take() == []
    assert bench.jobs.settle(delivered(*held)) == 0
    assert bench.size() is None


def test_who_lost_its_lease_can_neither_finish_nor_renew_nor_give_back_what_is_its_successors(
    bench: Bench,
) -> None:
    bench.add(made())
    [slow] = bench.take()
    bench.now += LEASE
    [quick] = bench.take()

    again = Outcome(Verdict.RETRY, again=made(9), pause=0.0)
    assert bench.jobs.settle(delivered(slow)) == 1
    assert bench.jobs.settle([(slow, again)]) == 1
    bench.jobs.give_back([slow])
    bench.now += LEASE - 1
    bench.jobs.renew([slow])

    assert bench.size() == Size(0, 0, 1)
    assert bench.jobs.settle(delivered(quick)) == 0
    assert bench.size() is None


def test_what_failed_is_kept_by_whoever_holds_it_and_by_nobody_else(bench: Bench) -> None:
    bench.add(made())
    [slow] = bench.take()
    bench.now += LEASE
    [quick] = bench.take()
    failed = SqliteFailedStore(bench.file)

    def given_up(held: Held) -> list[tuple[Held, Outcome]]:
        return [(held, Outcome(Verdict.FAILED, failed=Failed(held.body, "no", bench.now)))]

    assert bench.jobs.settle(given_up(slow)) == 1
    assert failed.count() == 0
    assert bench.jobs.settle(given_up(quick)) == 0
    assert [kept.body for kept in failed.list()] == [quick.body]


def test_a_number_is_not_used_again(bench: Bench) -> None:
    bench.add(made(1))
    [slow] = bench.take()
    bench.jobs.clear("default")
    bench.now += LEASE
    bench.jobs.settle(delivered(*bench.take()))
    bench.add(made(2))
    bench.take()

    assert bench.jobs.settle(delivered(slow)) == 1
    assert bench.size() == Size(0, 0, 1)


def test_what_is_to_be_tried_again_waits_for_its_pause(bench: Bench) -> None:
    bench.add(made())
    [held] = bench.take()

    bench.jobs.settle([(held, Outcome(Verdict.RETRY, again=made(attempt=2), pause=60.0))])

    assert bench.jobs.next_due(["default"]) == 60.0
    bench.now += 60.0
    [held] = bench.take()
    assert open_envelope(held.body).attempt == 2
    assert held.lost == 0


def test_who_is_late_does_not_change_how_long_it_waits(bench: Bench) -> None:
    bench.add(made())
    [held] = bench.take()
    bench.jobs.settle([(held, Outcome(Verdict.RETRY, again=made(attempt=2), pause=60.0))])

    bench.jobs.renew([held])
    bench.jobs.give_back([held])

    assert bench.jobs.next_due(["default"]) == 60.0


def test_what_is_given_back_can_be_taken_at_once_and_only_by_others(bench: Bench) -> None:
    bench.add(made())
    held = bench.take()

    bench.jobs.give_back(held)

    assert bench.jobs.settle(delivered(*held)) == 1
    [again] = bench.take()
    assert again.lost == 0


def test_one_driver_gets_its_jobs_together_and_in_order(bench: Bench) -> None:
    bench.add(made(1), Envelope(made(2).message, "other"), made(3), made(4))

    assert bench.ids() == ["message-1", "message-3", "message-4"]
    assert bench.ids() == ["message-2"]


def test_the_first_queue_that_has_something_goes_first(bench: Bench) -> None:
    bench.add(made(1, queue="low"), made(2, queue="high"), made(3, queue="other"), made(4, queue="low"))

    assert bench.ids("high", "low", most=1) == ["message-2"]
    bench.add(made(5, queue="high"))
    assert bench.ids("high", "low") == ["message-5"]
    assert bench.ids("high", "low") == ["message-1", "message-4"]
    assert bench.ids("high", "low") == []


def test_there_is_more_where_not_all_was_taken(bench: Bench) -> None:
    bench.add(made(1), made(2), made(3))

    first, second = bench.jobs.take(["default"], 2), bench.jobs.take(["default"], 2)

    assert first is not None
    assert second is not None
    assert (first.more, second.more) == (True, False)


def test_what_lost_a_worker_is_taken_alone_and_is_spent_in_the_end(bench: Bench) -> None:
    bench.add(made(1, tries=2), made(2, tries=2), made(3))
    bench.take(most=2)
    bench.now += LEASE
    ends = []

    while not (held := bench.take())[0].spent:
        ends.append((len(held), held[0].lost))
        bench.jobs.settle(delivered(*held) if held[0].id != 1 else [])
        bench.now += LEASE

    # The third one, which had waited all the time; those that were lost, one by one; and the first again.
    assert ends == [(1, 0), (1, 1), (1, 1), (1, 2), (1, 3)]
    assert [one.lost for one in held] == [4]


def test_what_is_delayed_waits_from_now_on(bench: Bench) -> None:
    bench.add(made(delay=5.0))

    assert bench.jobs.next_due(["default", "other"]) == 5.0
    bench.now += 4.9
    assert bench.take() == []
    bench.now += 0.1
    assert bench.ids() == ["message-1"]


def test_where_nothing_waits_nothing_is_due(bench: Bench) -> None:
    assert bench.jobs.next_due(["default"]) is None


# Locks


def test_a_lock_holds_until_its_time_is_over(bench: Bench) -> None:
    bench.add(*(made(number, unique="stock", unique_for=60.0) for number in (1, 2)))
    bench.now += 59.0
    bench.add(made(3, unique="stock", unique_for=60.0))
    bench.now += 1.0
    bench.add(made(4, unique="stock", unique_for=60.0))

    assert bench.ids() == ["message-1", "message-4"]


def test_only_who_has_a_lock_gives_it_back(bench: Bench) -> None:
    first, second = (made(number, unique="stock", unique_for=60.0) for number in (1, 2))
    bench.add(first)

    bench.jobs.release(second)
    bench.add(second)
    bench.jobs.release(first)
    bench.add(second)

    assert bench.ids() == ["message-1", "message-2"]


def test_what_has_the_lock_may_come_again(bench: Bench) -> None:
    bench.add(made(1, unique="stock", unique_for=60.0), made(1, unique="stock", unique_for=60.0))

    assert bench.ids() == ["message-1", "message-1"]


def test_locks_whose_time_is_over_do_not_pile_up(bench: Bench) -> None:
    for number in range(50):
        bench.add(made(number, unique=f"key-{number}", unique_for=1.0))
        bench.now += 1.0

    with bench.file.read() as connection:
        assert connection.execute("SELECT count(*) FROM locks").fetchone()[0] <= 2


def test_nothing_of_a_push_is_kept_that_cannot_be_kept_whole(bench: Bench) -> None:
    def broken() -> Iterator[tuple[Envelope, bytes]]:
        one = made(unique="stock", unique_for=60.0)
        yield one, seal(one)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.jobs.add(broken())

    assert bench.jobs.sizes() == {}
    bench.add(made(2, unique="stock", unique_for=60.0))
    assert bench.ids() == ["message-2"]


# Sizes, clearing, pausing


def test_sizes_tell_what_is_ready_delayed_and_held(bench: Bench) -> None:
    bench.add(made(1), made(2), made(3, delay=60.0), made(4, queue="mail"))
    bench.take(most=1)
    bench.jobs.pause("idle")

    assert bench.jobs.sizes() == {
        "default": Size(1, 1, 1),
        "mail": Size(1, 0, 0),
        "idle": Size(0, 0, 0, paused=True),
    }
    bench.now += LEASE
    assert bench.size() == Size(2, 1, 0)


def test_clearing_drops_what_waits_and_its_locks_and_not_what_is_held(bench: Bench) -> None:
    bench.add(made(1, unique="held", unique_for=600.0))
    held = bench.take()
    bench.add(made(2, unique="stock", unique_for=600.0), made(3, delay=60.0), made(4, queue="mail"))

    assert bench.jobs.clear("default") == 2

    assert bench.jobs.sizes() == {"default": Size(0, 0, 1), "mail": Size(1, 0, 0)}
    bench.add(made(5, unique="held", unique_for=60.0), made(6, unique="stock", unique_for=60.0))
    assert bench.ids() == ["message-6"]
    assert bench.jobs.settle(delivered(*held)) == 0


def test_nothing_is_taken_from_a_queue_that_is_paused(bench: Bench) -> None:
    bench.jobs.pause("default")
    bench.jobs.pause("default")
    bench.add(made(1), made(2, queue="mail"))

    assert bench.ids("default", "mail") == ["message-2"]
    assert bench.ids("default", "mail") == []
    assert bench.jobs.next_due(["default"]) is None
    assert bench.size() == Size(1, 0, 0, paused=True)

    bench.jobs.resume("default")
    assert bench.ids() == ["message-1"]
