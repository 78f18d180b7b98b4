from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from broadcaster.queues import _gate
from broadcaster.queues._gate import Gate
from tests.forks import in_a_child
from tests.waits import until


def started(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_who_shuts_it_waits_for_those_inside_and_others_for_who_has_shut_it() -> None:
    gate, told = Gate(), []

    def shut() -> None:
        with gate.shut():
            told.append("alone")
            other.start()
            # It comes, and has to wait.
            other.join(0.1)
            told.append("opened")

    def use() -> None:
        with gate.passed():
            told.append("used")

    other = threading.Thread(target=use)
    with gate.passed():
        closing = started(shut)
        until(lambda: gate._gates.value._closing)
        # Who is inside may pass once more.
        with gate.passed():
            told.append("inside")
        told.append("left")
    for thread in (closing, other):
        thread.join(30)

    assert told == ["inside", "left", "alone", "opened", "used"]


def test_who_is_inside_may_shut_it() -> None:
    gate = Gate()

    with gate.passed(), gate.shut(), gate.passed():
        pass
    with gate.shut(), gate.shut():
        pass

    with gate.passed():
        assert list(gate._gates.value._inside) == [threading.get_ident()]
    assert not gate._gates.value._inside


def test_who_shuts_it_and_passes_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal handler that sends in the middle of it."""
    monkeypatch.setattr(_gate, "_SECONDS", 60)
    gate = Gate()

    def shut_and_pass() -> None:
        with gate.shut(), gate.passed():
            pass

    thread = started(shut_and_pass)
    thread.join(30)

    assert not thread.is_alive()


def test_who_is_interrupted_while_it_waits_shuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    inner = gate._gates.value

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(inner._changed, "wait_for", interrupt)
        with pytest.raises(KeyboardInterrupt), gate.shut():
            pass

    assert not inner._closing


def test_nobody_waits_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gate, "_SECONDS", 0.05)
    gate, over = Gate(), threading.Event()

    def stay() -> None:
        with gate.passed():
            over.wait(30)

    stays = started(stay)
    until(lambda: gate._gates.value._inside)
    with gate.shut():
        passing = started(lambda: gate.passed().__enter__())
        passing.join(30)
        assert not passing.is_alive()
    over.set()
    stays.join(30)


def test_a_process_that_forks_off_waits_for_no_thread_of_its_parent() -> None:
    gate, over = Gate(), threading.Event()

    def stay() -> None:
        with gate.passed():
            over.wait(30)

    def shut() -> None:
        with gate.shut():
            assert not gate._gates.value._inside

    stays = started(stay)
    until(lambda: gate._gates.value._inside)

    assert in_a_child(shut) == 0
    over.set()
    stays.join(30)
