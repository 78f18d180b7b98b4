"""A worker in a process of its own: `python -m tests.queues.process ENGINE URL LEASE`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import redis

from broadcaster.drivers.base import Driver
from broadcaster.messages import Message
from broadcaster.queues import _celery_broker
from broadcaster.queues._rq_lines import Line
from broadcaster.queues.celery import CeleryQueue
from broadcaster.queues.rq import RqQueue
from broadcaster.queues.working import WorkedQueue, WorkOptions


class Noted(Driver):
    """Notes in Redis what it has delivered."""

    def __init__(self, url: str) -> None:
        self._notes = redis.Redis.from_url(url)

    def deliver(self, message: Message) -> None:
        self._notes.rpush("delivered", message.id)

    async def adeliver(self, message: Message) -> None:
        self.deliver(message)

    def deliver_many(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.deliver(message)


class Drivers:
    """Has one driver under every name."""

    def __init__(self, url: str) -> None:
        self._noted = Noted(url)

    def driver(self, name: str) -> Driver:
        return self._noted


def main() -> None:
    """Work until SIGTERM, with a lease that a test can wait for."""
    engine, url, lease = sys.argv[1:]
    _celery_broker._VISIBILITY = Line.lease = int(lease)
    _celery_broker._LOOK_SECONDS = Line.look_seconds = 1
    kinds: dict[str, type[CeleryQueue | RqQueue]] = {"celery": CeleryQueue, "rq": RqQueue}
    queue: WorkedQueue = kinds[engine](Drivers(url), url=url)
    worker = queue.worker(WorkOptions(), report=lambda outcome: None)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
