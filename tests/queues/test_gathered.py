from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

import pytest

from broadcaster.errors import DeliveryError
from broadcaster.queues._gathered import Gathered
from tests.queues.contract import SECONDS
from tests.waits import until


def full() -> DeliveryError:
    return DeliveryError("full", driver="disk", retryable=True)


class Disk:
    """Keeps what is written; the first write waits to be let go, and one that holds `full` fails."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.let_go = threading.Event()
        self.gathered = Gathered(self.write, name="disk")
        self.errors: list[DeliveryError] = []

    def write(self, items: Sequence[str]) -> None:
        if not self.writes:
            self.writes.append([*items])
            assert self.let_go.wait(SECONDS)
            return
        self.writes.append([*items])
        if "full" in items:
            raise full()
        if "broken" in items:
            raise OverflowError

    def threads(self, *items: str) -> list[threading.Thread]:
        """Have each item written by a thread of its own, all after the first while that writes."""
        threads = [threading.Thread(target=self.write_one, args=[item]) for item in items]
        for number, thread in enumerate(threads, 1):
            thread.start()
            until(lambda number=number: self.seen() == number)  # type: ignore[misc]
        return threads

    def write_one(self, item: str) -> None:
        try:
            self.gathered.write([item])
        except DeliveryError as error:
            self.errors.append(error)

    def seen(self) -> int:
        return len(self.gathered._waiting.value.shares)


def test_what_was_written_alone_is_not_written_again_by_who_comes_next() -> None:
    written: list[str] = []
    gathered = Gathered(written.extend, name="disk")
    lock, coming = threading.Lock(), [threading.Thread(target=gathered.write, args=[["b"]])]

    class Overtaken:
        """A lock after which another thread has its turn before the one that released it goes on."""

        def __enter__(self) -> None:
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()
            if coming:
                thread = coming.pop()
                thread.start()
                thread.join(SECONDS)

    gathered._waiting.value.writing = Overtaken()  # type: ignore[assignment]
    gathered.write(["a"])

    assert written == ["a", "b"]


def test_what_comes_while_it_writes_is_written_at_once() -> None:
    disk = Disk()
    threads = disk.threads("a", "b", "c", "d")

    disk.let_go.set()
    for thread in threads:
        thread.join(SECONDS)

    assert disk.writes == [["a"], ["b", "c", "d"]]


def test_one_that_cannot_be_written_does_not_keep_the_others_out() -> None:
    disk = Disk()
    threads = disk.threads("a", "b", "full", "c", "d")

    disk.let_go.set()
    for thread in threads:
        thread.join(SECONDS)

    assert len(disk.errors) == 1
    assert sorted(item for items in disk.writes if "full" not in items for item in items) == [
        "a",
        "b",
        "c",
        "d",
    ]


def test_alone_it_is_written_as_it_is() -> None:
    written: list[list[int]] = []
    gathered = Gathered[int](lambda items: written.append([*items]), name="disk")

    gathered.write([1, 2])
    gathered.write([3])

    assert written == [[1, 2], [3]]


def test_an_error_reaches_who_writes() -> None:
    def write(items: Sequence[int]) -> None:
        raise full()

    with pytest.raises(DeliveryError, match="full"):
        Gathered(write, name="disk").write([1])


def test_what_broke_is_not_written_with_what_comes_later() -> None:
    disk = Disk()
    threads = disk.threads("a", "b")

    def break_down() -> None:
        with pytest.raises(OverflowError):
            disk.gathered.write(["broken"])

    broken = threading.Thread(target=break_down)
    broken.start()
    until(lambda: disk.seen() == 3)

    disk.let_go.set()
    for thread in [*threads, broken]:
        thread.join(SECONDS)
    disk.gathered.write(["c"])

    assert disk.seen() == 0
    assert disk.writes[-1] == ["c"]
    assert sum(items.count("b") for items in disk.writes if "broken" not in items) == 1


def test_who_is_interrupted_while_it_waits_is_not_written_later() -> None:
    disk = Disk()
    threads = disk.threads("a")

    def interrupt(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError):
            disk.gathered.write(["b"])
    finally:
        signal.signal(signal.SIGALRM, before)
    disk.let_go.set()
    threads[0].join(SECONDS)
    disk.gathered.write(["c"])

    assert disk.writes == [["a"], ["c"]]


def test_a_signal_handler_that_writes_in_the_midst_of_it_is_refused() -> None:
    errors: list[DeliveryError] = []

    def write(items: Sequence[int]) -> None:
        if items == [1]:
            try:
                gathered.write([2])
            except DeliveryError as error:
                errors.append(error)

    gathered = Gathered[int](write, name="disk")
    gathered.write([1])
    gathered.write([3])

    assert [error.retryable for error in errors] == [True]
    assert "signal" in str(errors[0])
