"""What every engine keeps whose workers are processes, and whatever becomes of these."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from broadcaster.drivers import _redis_package
from broadcaster.errors import DeliveryError
from broadcaster.queues import _celery_broker
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.working import WorkedQueue, WorkOptions
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.forks import in_a_child
from tests.queues.contract import SECONDS, Drivers, envelope
from tests.waits import until

__all__ = ["WorkerContract", "work", "working"]

# Seconds after which another worker takes what a killed one had.
LEASE = 3


@contextmanager
def working(queue: WorkedQueue, **how: Any) -> Iterator[list[Outcome]]:
    """Have a worker of this process deliver what *queue* holds while the block lasts."""
    outcomes: list[Outcome] = []
    worker = queue.worker(WorkOptions(**how), report=outcomes.append)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield outcomes
    finally:
        worker.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


def work(queue: WorkedQueue, **how: Any) -> list[Outcome]:
    """Have a worker of this process work until nothing is ready, or less; return what it told."""
    outcomes: list[Outcome] = []
    worker = queue.worker(WorkOptions(**{"stop_when_empty": True, **how}), report=outcomes.append)
    thread = threading.Thread(target=worker.run)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()
    return outcomes


class WorkerContract(ABC):
    """Subclass it; `queue()` makes one on the Redis at *url*, for which *engine* is the word."""

    engine: ClassVar[str]

    @abstractmethod
    def queue(self, drivers: Drivers, url: str) -> WorkedQueue:
        """Return a queue."""

    @pytest.fixture
    def drivers(self) -> Drivers:
        return Drivers()

    @pytest.fixture
    def made(self, drivers: Drivers, redis_server: RedisServer) -> Iterator[WorkedQueue]:
        queue = self.queue(drivers, redis_server.url())
        yield queue
        queue.close()

    @contextmanager
    def process(self, server: RedisServer) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker in a process of its own."""
        options = [self.engine, server.url(), str(LEASE)]
        command = [sys.executable, "-m", "tests.queues.process", *options]
        with subprocess.Popen(command) as process:
            try:
                yield process
            finally:
                process.kill()

    def test_a_redis_that_is_away_is_told_and_does_no_harm(self, drivers: Drivers, tmp_path: Path) -> None:
        with RedisServer(tmp_path, password=None) as server:
            queue = self.queue(drivers, server.url())
            queue.push([envelope(1)])
            server.stop()

            started = time.monotonic()
            with pytest.raises(DeliveryError) as error:
                queue.push([envelope(2)])
            took = time.monotonic() - started
            server.start()
            queue.push([envelope(3)])

            with working(queue):
                until(lambda: drivers.scripted.delivered)
            queue.close()
        assert error.value.retryable
        assert took < SECONDS
        assert drivers.scripted.ids == ["message-3"]

    def test_a_worker_outlives_a_redis_that_is_started_again(self, drivers: Drivers, tmp_path: Path) -> None:
        with RedisServer(tmp_path, password=None) as server, self.process(server) as process:
            queue, notes = self.queue(drivers, server.url()), server.client()
            queue.push([envelope(1)])
            until(lambda: notes.llen("delivered"))

            server.stop()
            server.start()
            queue.push([envelope(2)])

            until(lambda: b"message-2" in notes.lrange("delivered", 0, -1))
            process.terminate()
            assert process.wait(SECONDS) == 0
            queue.close()

    def test_a_redis_that_stalls_holds_nobody_up(
        self, drivers: Drivers, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_redis_package, "_SECONDS", 0.5)
        for option in ("socket_timeout", "socket_connect_timeout"):
            monkeypatch.setitem(_celery_broker._BOUNDED, option, 0.5)
        with Proxy(redis_server.port) as proxy:
            queue = self.queue(drivers, f"redis://127.0.0.1:{proxy.port}")
            queue.push([envelope(1)])
            proxy.stall()

            started = time.monotonic()
            for stuck in (
                [envelope(2)],
                [envelope(3), envelope(4)],
                [envelope(5, unique="a", unique_for=60)],
            ):
                with pytest.raises(DeliveryError) as error:
                    queue.push(stuck)
                assert error.value.retryable
            took = time.monotonic() - started
            proxy.resume()

            queue.push([envelope(6)])
            queue.close()
        assert took < SECONDS

    def test_a_process_that_forks_off_pushes_as_well(self, made: WorkedQueue, drivers: Drivers) -> None:
        made.push([envelope(1)])

        assert in_a_child(lambda: made.push([envelope(2)])) == 0
        made.push([envelope(3)])

        with working(made):
            until(lambda: len(drivers.scripted.delivered) == 3)
        assert drivers.scripted.ids == ["message-1", "message-2", "message-3"]

    def test_threads_push_at_the_same_time(self, made: WorkedQueue, drivers: Drivers) -> None:
        def push(thread: int) -> None:
            for number in range(5):
                made.push([envelope(10 * thread + number)])

        threads = [threading.Thread(target=push, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)

        with working(made, concurrency=3):
            until(lambda: len(drivers.scripted.delivered) == 40)
        assert len(set(drivers.scripted.ids)) == 40

    def test_a_worker_takes_its_queues_in_order(self, made: WorkedQueue, drivers: Drivers) -> None:
        made.push([envelope(number, queue="mail") for number in (1, 2)])
        made.push([envelope(number, queue="urgent") for number in (3, 4)])
        made.push([envelope(5, queue="other")])

        outcomes = work(made, queues=("urgent", "mail"), stop_when_empty=True)

        assert drivers.scripted.ids == ["message-3", "message-4", "message-1", "message-2"]
        assert len(outcomes) == 4

    def test_what_is_overdue_is_delivered_by_who_works_until_nothing_is_ready(
        self, made: WorkedQueue, drivers: Drivers
    ) -> None:
        late = envelope(1, delay=0.1)
        made.push([late])
        # RQ counts in whole seconds.
        until(lambda: time.time() > late.due + 1.0)

        work(made)

        assert drivers.scripted.ids == ["message-1"]

    def test_what_is_pushed_together_stays_in_order(self, made: WorkedQueue, drivers: Drivers) -> None:
        made.push([envelope(1, tries=2), envelope(2), envelope(3, tries=2)])

        work(made)

        assert drivers.scripted.ids == ["message-1", "message-2", "message-3"]

    def test_what_could_not_be_pushed_keeps_nothing_out(
        self, made: WorkedQueue, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: object) -> None:
            raise KeyError("whatever")

        with monkeypatch.context() as patched:
            patched.setattr(made, "_put", broken)
            with pytest.raises(KeyError):
                made.push([envelope(1, unique="stock", unique_for=60.0)])
        made.push([envelope(2, unique="stock", unique_for=60.0)])

        work(made)
        assert drivers.scripted.ids == ["message-2"]

    def test_a_worker_ends_when_it_has_done_enough(self, made: WorkedQueue, drivers: Drivers) -> None:
        made.push([envelope(number) for number in range(6)])

        assert len(work(made, once=True)) == 1
        assert len(work(made, max_jobs=2, concurrency=2)) == 2
        assert work(made, max_seconds=0.0) == []

        assert len(work(made, stop_when_empty=True)) == 3
        assert work(made, once=True) == []
        assert sorted(drivers.scripted.ids) == [f"message-{number}" for number in range(6)]

    def test_what_waits_is_counted_and_can_be_dropped(self, made: WorkedQueue, drivers: Drivers) -> None:
        made.push([envelope(number, queue="mail") for number in range(3)])
        made.push([envelope(4, unique="stock", unique_for=60.0)])

        ready = {queue: size.ready for queue, size in made.sizes().items()}

        assert ready == {"default": 1, "mail": 3}
        assert [made.clear("default"), made.clear("default"), made.clear("nothing")] == [1, 0, 0]
        assert list(made.sizes()) == ["mail"]
        made.push([envelope(5, unique="stock", unique_for=60.0)])
        assert made.sizes()["default"].ready == 1
