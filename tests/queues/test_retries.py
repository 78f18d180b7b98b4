from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.queues.envelopes import seal
from broadcaster.queues.failed import Failed
from broadcaster.queues.retries import retry
from broadcaster.queues.sqlite import SqliteQueue
from broadcaster.queues.working import WorkOptions
from tests.queues.contract import Drivers, envelope


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    queue = SqliteQueue(Drivers(), file=str(tmp_path / "queue.sqlite3"))
    yield queue
    queue.close()


def test_what_was_given_up_waits_again_as_if_it_had_never_been_tried(queue: SqliteQueue) -> None:
    queue.failed.add(Failed(seal(envelope(tries=3, attempt=3, delay=60.0)), "away", 0.0))

    assert retry(queue, queue.failed.list()) == []

    attempts: list[int] = []
    worker = queue.worker(
        WorkOptions(stop_when_empty=True),
        report=lambda outcome: attempts.append(outcome.envelope.attempt),  # type: ignore[union-attr]
    )
    worker.run()
    assert attempts == [1]
    assert queue.failed.count() == 0


def test_what_cannot_be_read_stays_and_is_told(queue: SqliteQueue) -> None:
    failed_id = queue.failed.add(Failed(b"nonsense", "it is not JSON", 0.0))
    queue.failed.add(Failed(seal(envelope()), "away", 0.0))

    assert [failed.id for failed in retry(queue, queue.failed.list())] == [failed_id]

    assert [failed.id for failed in queue.failed.list()] == [failed_id]
    assert queue.sizes()["default"].ready == 1


def test_what_is_retried_is_not_left_out_for_its_like(queue: SqliteQueue) -> None:
    for number in (1, 2):
        queue.failed.add(Failed(seal(envelope(number, unique="a", unique_for=60.0)), "away", 0.0))
    queue.push([envelope(3, unique="a", unique_for=60.0)])

    retry(queue, queue.failed.list())

    assert queue.sizes()["default"].ready == 3
    assert queue.failed.count() == 0
