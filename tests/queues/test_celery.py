from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from broadcaster.queues.base import Queue
from broadcaster.queues.celery import CeleryQueue
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.working import WorkOptions, WorkedQueue
from tests.drivers.redis_servers import RedisServer
from tests.queues.contract import SECONDS, Drivers, QueueContract, envelope, until


@contextmanager
def working(queue: WorkedQueue) -> Iterator[None]:
    """Have a worker of this process deliver what *queue* holds while the block lasts."""
    worker = queue.worker(WorkOptions(), report=lambda outcome: None)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


class TestCeleryQueue(QueueContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def queue(self, drivers: Drivers) -> Queue:
        return CeleryQueue(drivers, url=self.server.url())

    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, CeleryQueue)
        return queue.failed

    def working(self, queue: Queue) -> AbstractContextManager[None]:
        assert isinstance(queue, CeleryQueue)
        return working(queue)
