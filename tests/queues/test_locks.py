from __future__ import annotations

from broadcaster.queues.locks import MemoryLocks
from tests.queues.contract import envelope


def test_a_lock_is_held_by_one_until_it_is_given_back() -> None:
    locks = MemoryLocks(clock=lambda: 0.0)
    one, other = (envelope(number, unique="a", unique_for=60.0) for number in (1, 2))

    assert locks.take(one)
    assert not locks.take(other)
    locks.give_back(other)
    assert not locks.take(other)
    locks.give_back(one)
    assert locks.take(other)


def test_a_lock_is_held_for_a_time_at_the_most() -> None:
    now = 0.0
    locks = MemoryLocks(clock=lambda: now)
    one, other = (envelope(number, unique="a", unique_for=60.0) for number in (1, 2))
    locks.take(one)

    now = 59.9
    assert not locks.take(other)
    now = 60.0
    assert locks.take(other)


def test_whoever_has_a_lock_may_take_it_again() -> None:
    locks = MemoryLocks()
    one = envelope(1, unique="a", unique_for=60.0)

    assert [locks.take(one), locks.take(one)] == [True, True]


def test_what_wants_no_lock_gets_none() -> None:
    locks = MemoryLocks()

    assert [locks.take(envelope(1)), locks.take(envelope(2))] == [True, True]
