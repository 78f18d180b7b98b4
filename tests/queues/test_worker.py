from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broadcaster.messages import Message
from broadcaster.queues import _sqlite_file
from broadcaster.queues import worker as worker_module
from broadcaster.queues.outcomes import Outcome, Verdict
from broadcaster.queues.sqlite import SqliteQueue
from broadcaster.queues.working import Size, Worker, WorkOptions
from tests.queues.contract import SECONDS, Drivers, Scripted, envelope
from tests.queues.worked_shop import Shop
from tests.waits import until


class Gate(Scripted):
    """Delivers nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.let_go = threading.Event()

    def deliver_many(self, messages: list[Message]) -> None:  # type: ignore[override]
        self.begun += 1
        assert self.let_go.wait(SECONDS)
        super().deliver_many(messages)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.drivers = Drivers()
        self.file = folder / "queue.sqlite3"
        self.queue = SqliteQueue(self.drivers, file=str(self.file), lease=2.0)
        self.outcomes: list[Outcome] = []

    def worker(self, options: WorkOptions) -> Worker:
        return self.queue.worker(options, report=self.outcomes.append)

    def work(self, **options: object) -> list[Verdict]:
        self.worker(WorkOptions(**options)).run()  # type: ignore[arg-type]
        return [outcome.verdict for outcome in self.outcomes]

    def gate(self) -> Gate:
        self.drivers.scripted = gate = Gate()
        return gate


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.queue.close()


def started(worker: Worker) -> threading.Thread:
    thread = threading.Thread(target=worker.run)
    thread.start()
    return thread


def test_it_ends_when_nothing_is_ready(bench: Bench) -> None:
    bench.queue.push([*(envelope(number) for number in range(150)), envelope(150, delay=60.0)])

    assert bench.work(stop_when_empty=True) == [Verdict.DELIVERED] * 150

    assert bench.drivers.scripted.batches == [100, 50]
    assert bench.queue.sizes() == {"default": Size(0, 1, 0)}


@pytest.mark.parametrize(("waiting", "told"), [(0, 0), (3, 3), (150, 100)])
def test_it_ends_after_one_batch(bench: Bench, waiting: int, told: int) -> None:
    bench.queue.push([envelope(number) for number in range(waiting)])

    assert len(bench.work(once=True, concurrency=3)) == told


def test_it_ends_after_so_many(bench: Bench) -> None:
    bench.queue.push([envelope(number) for number in range(10)])

    assert len(bench.work(max_jobs=7, concurrency=2)) == 7

    assert bench.queue.sizes() == {"default": Size(3, 0, 0)}


def test_it_ends_after_so_long(bench: Bench) -> None:
    begun = time.monotonic()

    assert bench.work(max_seconds=0.05) == []

    assert 0.05 <= time.monotonic() - begun < SECONDS


def test_what_failed_is_reported_with_the_reason(bench: Bench) -> None:
    bench.queue.push([envelope()])
    bench.drivers.scripted = None  # type: ignore[assignment]

    assert bench.work(stop_when_empty=True) == [Verdict.FAILED]
    assert "it broke" in bench.outcomes[0].reason


def test_what_became_of_a_batch_is_kept_as_soon_as_the_file_can_be_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_sqlite_file, "_BUSY_SECONDS", 0.05)
    bench.queue.close()  # opened again, it has that time
    bench.queue.push([envelope(number) for number in range(3)])
    gate = bench.gate()
    thread = started(bench.worker(WorkOptions(stop_when_empty=True)))
    until(lambda: gate.begun)
    with closing(sqlite3.connect(bench.file, isolation_level=None)) as others:
        others.execute("BEGIN IMMEDIATE")
        gate.let_go.set()
        until(lambda: "cannot be kept yet" in caplog.text)
        others.execute("ROLLBACK")
    thread.join(SECONDS)

    assert gate.ids == [f"message-{number}" for number in range(3)]
    assert [outcome.verdict for outcome in bench.outcomes] == [Verdict.DELIVERED] * 3
    assert bench.queue.sizes() == {}


def test_as_many_batches_as_it_may_are_delivered_at_the_same_time(bench: Bench) -> None:
    gate = bench.gate()
    worker = bench.worker(WorkOptions(concurrency=3))
    thread = started(worker)

    for number in range(4):
        bench.queue.push([envelope(number)])
        until(lambda number=number: gate.begun == min(number + 1, 3))  # type: ignore[misc]

    assert bench.queue.sizes() == {"default": Size(1, 0, 3)}
    gate.let_go.set()
    until(lambda: len(gate.delivered) == 4)
    worker.stop()
    thread.join(SECONDS)


def test_what_it_holds_it_holds_as_long_as_it_takes(bench: Bench) -> None:
    gate = bench.gate()
    bench.queue.push([envelope()])
    thread = started(bench.worker(WorkOptions(max_jobs=1)))
    until(lambda: gate.begun)
    other = bench.worker(WorkOptions())
    thread_of_other = started(other)

    until_later = time.monotonic() + 3.0
    until(lambda: time.monotonic() > until_later)
    gate.let_go.set()
    thread.join(SECONDS)
    other.stop()
    thread_of_other.join(SECONDS)

    assert gate.ids == ["message-1"]
    assert bench.queue.sizes() == {}


def test_a_stop_lets_it_finish_what_it_holds_and_take_no_more(bench: Bench) -> None:
    gate = bench.gate()
    bench.queue.push([envelope(1)])
    worker = bench.worker(WorkOptions())
    thread = started(worker)
    until(lambda: gate.begun)
    bench.queue.push([envelope(2)])

    worker.stop()
    worker.stop()
    gate.let_go.set()
    thread.join(SECONDS)

    assert not thread.is_alive()
    assert gate.ids == ["message-1"]
    assert bench.queue.sizes() == {"default": Size(1, 0, 0)}


def test_a_stop_before_it_runs_is_one_too(bench: Bench) -> None:
    bench.queue.push([envelope()])
    worker = bench.worker(WorkOptions())
    worker.stop()

    worker.run()

    assert bench.queue.sizes() == {"default": Size(1, 0, 0)}


def test_what_it_cannot_finish_in_its_grace_is_given_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    gate = bench.gate()
    bench.queue.push([envelope(1), envelope(2)])
    worker = bench.worker(WorkOptions(grace=0.0))
    thread = started(worker)
    until(lambda: gate.begun)

    worker.stop()
    thread.join(SECONDS)

    assert bench.queue.sizes() == {"default": Size(2, 0, 0)}
    assert "2 events were given back" in caplog.text
    gate.let_go.set()
    # The thread that was left behind has nothing to say about them any more.
    until(lambda: "taken by others" in caplog.text)
    assert bench.queue.sizes() == {"default": Size(2, 0, 0)}


def test_it_goes_on_when_the_file_can_be_used_again(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_file, "_BUSY_SECONDS", 0.05)
    bench.queue.close()
    bench.queue.push([envelope()])
    other = sqlite3.connect(bench.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    worker = bench.worker(WorkOptions())
    thread = started(worker)
    with caplog.at_level(logging.ERROR):
        until(lambda: "nothing can be taken" in caplog.text)

    other.execute("ROLLBACK")

    until(lambda: bench.drivers.scripted.ids == ["message-1"])
    other.close()
    worker.stop()
    thread.join(SECONDS)


def test_what_can_neither_be_delivered_nor_kept_as_failed_comes_again(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_SETTLE_SECONDS", 0.5)
    bench.queue.push([envelope()])
    connection = sqlite3.connect(bench.file)
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON failed BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )
    connection.close()
    bench.drivers.scripted = None  # type: ignore[assignment]

    assert bench.work(stop_when_empty=True) == []

    assert "1 events come again after their lease" in caplog.text
    assert "the disk is full" in caplog.text
    assert bench.queue.sizes() == {"default": Size(0, 0, 1)}


def test_where_nothing_can_be_reported_it_ends_and_says_so(bench: Bench) -> None:
    def report(_: Outcome) -> None:
        raise BrokenPipeError

    bench.queue.push([envelope(1)])

    with pytest.raises(BrokenPipeError):
        bench.queue.worker(WorkOptions(concurrency=2), report=report).run()


# Processes


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def stopped(process: subprocess.Popen[str], shop: Shop) -> bool:
    """Stop *process*; False where that was in the middle of a transaction, and it goes on."""
    process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    connection = sqlite3.connect(shop.folder / "queue.sqlite3", timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        process.send_signal(signal.SIGCONT)
        return False
    finally:
        connection.close()
    return True


def test_a_worker_that_slept_through_its_lease_changes_nothing(shop: Shop) -> None:
    shop.send("wait")
    with shop.work() as slow:
        shop.until("begun")
        until(lambda: stopped(slow, shop))
        with shop.work() as quick:
            shop.until("begun", count=2)
            slow.send_signal(signal.SIGCONT)
            shop.let_go()
            shop.until("delivered", count=2)
            for process in (slow, quick):
                process.send_signal(signal.SIGTERM)
            texts = [process.communicate(timeout=SECONDS)[1] for process in (slow, quick)]

    assert "were taken by others too" in texts[0]
    assert "were taken by others" not in texts[1]
    assert shop.queue("size") == ""


def test_two_workers_do_not_have_the_same_at_the_same_time(shop: Shop) -> None:
    items = [f"item-{number}" for number in range(60)]
    with shop.work("--concurrency", "2"), shop.work("--concurrency", "2"):
        shop.send(*items)
        shop.until("delivered", count=60)

    assert sorted(line.split('"')[3] for line in shop.lines("begun")) == sorted(items)
