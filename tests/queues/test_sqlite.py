from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broadcaster import AnonymousEvent, BroadcastManager, ConfigurationError, ShouldQueue
from broadcaster.errors import DeliveryError
from broadcaster.queues.base import Queue
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.outcomes import Outcome, Verdict
from broadcaster.queues.retries import retry
from broadcaster.queues.sqlite import SqliteQueue
from broadcaster.queues.working import WorkedQueue, WorkOptions
from tests.queues.contract import SECONDS, Drivers, QueueContract, away, envelope
from tests.queues.worked_shop import Shop
from tests.waits import until


@contextmanager
def working(queue: SqliteQueue, options: WorkOptions) -> Iterator[None]:
    worker = queue.worker(options, report=lambda _: None)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(SECONDS)


class TestSqliteQueue(QueueContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self._path = tmp_path

    def queue(self, drivers: Drivers) -> Queue:
        return SqliteQueue(drivers, file=str(self._path / "queue.sqlite3"))

    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, SqliteQueue)
        return queue.failed

    @contextmanager
    def working(self, queue: Queue) -> Iterator[None]:
        assert isinstance(queue, SqliteQueue)
        with working(queue, WorkOptions()):
            yield


@pytest.fixture
def drivers() -> Drivers:
    return Drivers()


@pytest.fixture
def queue(drivers: Drivers, tmp_path: Path) -> Iterator[SqliteQueue]:
    queue = SqliteQueue(drivers, file=str(tmp_path / "queue.sqlite3"))
    yield queue
    queue.close()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


class Said(AnonymousEvent, ShouldQueue):
    pass


def test_settings_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "waiting.sqlite3"
    monkeypatch.setenv("BROADCAST_QUEUE", "sqlite")
    monkeypatch.setenv("BROADCAST_QUEUE_FILE", str(file))

    with BroadcastManager.from_env() as broadcast:
        broadcast.send(Said("hello", on="lobby"))
        assert isinstance(broadcast.queue, WorkedQueue)
        assert broadcast.queue.sizes()["default"].ready == 1

    assert file.exists()


def test_a_file_that_cannot_be_is_told_when_the_queue_is_made(tmp_path: Path) -> None:
    settings = {"queue": {"engine": "sqlite", "file": str(tmp_path / "nowhere" / "queue.sqlite3")}}

    with pytest.raises(ConfigurationError, match="No such file or directory"):
        assert BroadcastManager.from_dict(settings).queue


def test_the_queue_that_is_named_first_goes_first(queue: SqliteQueue, drivers: Drivers) -> None:
    queue.push([envelope(1, queue="low"), envelope(2, queue="high"), envelope(3, queue="other")])

    options = WorkOptions(("high", "low"), stop_when_empty=True)
    queue.worker(options, report=lambda _: None).run()

    assert drivers.scripted.ids == ["message-2", "message-1"]


def test_a_queue_that_is_paused_waits_until_it_is_resumed(queue: SqliteQueue, drivers: Drivers) -> None:
    queue.pause("default")
    queue.push([envelope(1), envelope(2, queue="mail")])

    with working(queue, WorkOptions(("default", "mail"))):
        until(lambda: drivers.scripted.ids == ["message-2"])
        queue.resume("default")
        until(lambda: drivers.scripted.ids == ["message-2", "message-1"])


def test_clearing_drops_what_waits(queue: SqliteQueue) -> None:
    queue.push([envelope(1), envelope(2)])

    assert (queue.clear("default"), queue.sizes()) == (2, {})


async def test_pushing_does_not_keep_the_event_loop(queue: SqliteQueue, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "queue.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    pushing = asyncio.create_task(queue.apush([envelope()]))
    for _ in range(100):
        await asyncio.sleep(0)
    was_done = pushing.done()
    other.execute("ROLLBACK")
    other.close()
    await pushing

    assert not was_done
    assert queue.sizes()["default"].ready == 1


def test_a_full_disk_reaches_who_sends(queue: SqliteQueue) -> None:
    with queue._file.read() as connection:
        connection.execute("PRAGMA max_page_count = 1")

    with pytest.raises(DeliveryError, match=r"queue sqlite.*the disk is full"):
        queue.push([envelope(number) for number in range(100)])

    assert queue.sizes() == {}


def test_many_threads_lose_nothing(queue: SqliteQueue, drivers: Drivers) -> None:
    def push(first: int) -> None:
        for number in range(first, first + 10):
            queue.push([envelope(number)])

    threads = [threading.Thread(target=push, args=[first]) for first in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    queue.worker(WorkOptions(stop_when_empty=True), report=lambda _: None).run()
    assert sorted(drivers.scripted.ids) == sorted(f"message-{number}" for number in range(80))


# A peer that is away for an hour, by a clock that the test moves


def test_a_peer_that_is_gone_for_an_hour_is_tried_ever_less_and_gets_all_in_the_end(tmp_path: Path) -> None:
    now, drivers, outcomes = 1_000_000.0, Drivers(), list[Outcome]()
    queue = SqliteQueue(drivers, file=str(tmp_path / "queue.sqlite3"), clock=lambda: now)
    drivers.scripted.errors += [away()] * 1_000
    queue.push([envelope(number, created=now, tries=5, backoff=(1, 5, 30, 120)) for number in range(20)])

    begun = now
    while now < begun + 3_600:
        queue.worker(WorkOptions(stop_when_empty=True), report=outcomes.append).run()
        now += 1.0

    assert queue.failed.count() == 20
    assert len(outcomes) == 20 * 5
    pauses = [outcome.pause for outcome in outcomes if outcome.envelope and outcome.envelope.attempt == 4]
    assert all(96 <= pause <= 144 for pause in pauses)
    assert {failed.reason for failed in queue.failed.list()} == {"driver 'scripted': the peer is away"}

    drivers.scripted.errors.clear()
    assert retry(queue, queue.failed.list(most=1_000)) == []
    queue.worker(WorkOptions(stop_when_empty=True), report=outcomes.append).run()

    assert sorted(drivers.scripted.ids) == sorted(f"message-{number}" for number in range(20))
    assert (queue.failed.count(), queue.sizes()) == (0, {})
    assert outcomes[-1].verdict is Verdict.DELIVERED
    queue.close()


# Processes


def test_a_producer_that_is_killed_has_lost_nothing_that_it_sent(shop: Shop) -> None:
    assert shop.send("first", "die") == -signal.SIGKILL

    with shop.work("--stop-when-empty") as worker:
        worker.wait(SECONDS)
    assert [len(shop.lines("delivered", item)) for item in ("first", "die")] == [1, 1]


def test_a_worker_of_another_process_wakes_when_something_is_sent(shop: Shop) -> None:
    with shop.work(), BroadcastManager.from_dict(settings_of(shop)) as broadcast:
        broadcast.send(Said("hello", on="lobby", data={"item": "warm-up"}, via="pages"))
        shop.until("delivered")
        took: list[float] = []
        for number in range(1, 11):
            idle_until = time.monotonic() + 0.1
            until(lambda at=idle_until: time.monotonic() >= at)  # type: ignore[misc]
            begun = time.monotonic()
            broadcast.send(Said("hello", on="lobby", data={"item": number}, via="pages"))
            shop.until("delivered", count=number + 1)
            took.append(time.monotonic() - begun)

    # Without being woken it looks once a second: half of one would be the usual.
    assert sorted(took)[5] < 0.25


def test_a_process_that_forks_off_pushes_and_works_by_itself(tmp_path: Path) -> None:
    drivers = Drivers()
    queue = SqliteQueue(drivers, file=str(tmp_path / "queue.sqlite3"))
    queue.push([envelope(1)])

    child = os.fork()
    if child == 0:
        status = 1
        try:
            queue.push([envelope(2)])
            queue.worker(WorkOptions(stop_when_empty=True), report=lambda _: None).run()
            status = 0 if drivers.scripted.ids == ["message-1", "message-2"] else 2
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert queue.sizes() == {}
    queue.close()


def settings_of(shop: Shop) -> dict[str, object]:
    """Return the settings of the application, for a sender elsewhere."""
    queue = {"engine": "sqlite", "file": str(shop.folder / "queue.sqlite3")}
    return {"driver": "null", "drivers": {"pages": {"driver": "null"}}, "queue": queue}
