from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from broadcaster.drivers.circuit import Circuit


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    circuit = Circuit(failures=3, cooldown=10)

    assert [circuit.failed(now) for now in (1, 2)] == [False, False]
    assert circuit.lets_through(2)
    assert circuit.failed(3)
    assert not circuit.lets_through(3)


def test_a_success_in_between_begins_the_count_anew() -> None:
    circuit = Circuit(failures=2, cooldown=10)

    circuit.failed(1)
    assert not circuit.succeeded()
    circuit.failed(2)

    assert circuit.lets_through(2)


def test_after_the_cooldown_one_attempt_is_let_through() -> None:
    circuit = Circuit(failures=1, cooldown=10)
    circuit.failed(0)

    assert not circuit.lets_through(9.9)
    assert circuit.lets_through(10)
    assert not circuit.lets_through(10)
    assert not circuit.lets_through(19.9)
    assert circuit.lets_through(20)


def test_an_attempt_that_fails_starts_the_cooldown_again() -> None:
    circuit = Circuit(failures=1, cooldown=10)
    circuit.failed(0)
    circuit.lets_through(10)

    assert not circuit.failed(15)
    assert not circuit.lets_through(24.9)
    assert circuit.lets_through(25)


def test_an_attempt_that_succeeds_closes_it() -> None:
    circuit = Circuit(failures=2, cooldown=10)
    circuit.failed(0)
    circuit.failed(0)
    circuit.lets_through(10)

    assert circuit.succeeded()
    assert circuit.lets_through(10)
    assert not circuit.failed(11)
    assert circuit.lets_through(11)


def test_of_many_threads_one_makes_the_attempt() -> None:
    circuit = Circuit(failures=1, cooldown=10)
    circuit.failed(0)
    together = Barrier(8)

    def ask(_: int) -> bool:
        together.wait(5)
        return circuit.lets_through(10)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 1
