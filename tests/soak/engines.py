"""The queues that are put to the test by killing workers, each on a server of its own where it needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.drivers.redis_servers import RedisServer
from tests.queues.rabbitmq_server import RabbitServer

__all__ = ["ENGINES", "Engine"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A queue: the variables that tell of it, and the *recovery*.

    That is after how many seconds at the latest another worker has what a killed one held.
    """

    variables: dict[str, str]
    recovery: float


@contextmanager
def _sqlite() -> Iterator[Engine]:
    with TemporaryDirectory() as folder:
        file = str(Path(folder, "queue.sqlite3"))
        variables = {"BROADCAST_QUEUE": "sqlite", "BROADCAST_QUEUE_FILE": file, "BROADCAST_QUEUE_LEASE": "3"}
        yield Engine(variables, 4.0)


@contextmanager
def _on_redis(queue: str, recovery: float) -> Iterator[Engine]:
    with TemporaryDirectory() as folder, RedisServer(Path(folder), password=None) as server:
        yield Engine({"BROADCAST_QUEUE": queue, "BROADCAST_QUEUE_URL": server.url()}, recovery)


@contextmanager
def _on_rabbitmq() -> Iterator[Engine]:
    with TemporaryDirectory() as folder, RabbitServer(Path(folder)) as server:
        yield Engine({"BROADCAST_QUEUE": "dramatiq", "BROADCAST_QUEUE_URL": server.url()}, 1.0)


ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
    "sqlite": _sqlite,
    "dramatiq-redis": lambda: _on_redis("dramatiq", 21.0),
    "dramatiq-rabbitmq": _on_rabbitmq,
    "celery": lambda: _on_redis("celery", 66.0),
    "rq": lambda: _on_redis("rq", 41.0),
}
"""Each of them, while it is used."""
