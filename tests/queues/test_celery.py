from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from broadcaster.queues.base import Queue
from broadcaster.queues.celery import CeleryQueue
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.working import WorkedQueue
from tests.drivers.redis_servers import RedisServer
from tests.queues.contract import Drivers, QueueContract
from tests.queues.workers import WorkerContract, working


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


class TestCeleryWorkers(WorkerContract):
    engine = "celery"

    def queue(self, drivers: Drivers, url: str) -> WorkedQueue:
        return CeleryQueue(drivers, url=url)
