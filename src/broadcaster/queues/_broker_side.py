"""What a broker keeps for us beside the messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from broadcaster.errors import ConfigurationError
from broadcaster.queues._dramatiq_package import RabbitmqBroker, RedisBroker
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.redis_locks import RedisLocks
from broadcaster.queues.working import Size

__all__ = ["Begun", "Side", "side_of"]


class Begun(Protocol):
    """How often messages of dramatiq's were begun, and never ended: by workers that died, then."""

    def begin(self, messages: Sequence[Any]) -> list[int]:
        """Return how many workers each may have ended; note that they are begun, of several no `SUSPECT`."""
        ...

    def end(self, messages: Iterable[Any]) -> None:
        """Forget how often *messages* were begun."""


class Side(Protocol):
    """Locks, what failed, and a look at what waits; whatever is asked may raise one of *trouble*."""

    trouble: tuple[type[Exception], ...]
    locks: RedisLocks | None
    failed: FailedStore

    def begun(self) -> AbstractContextManager[Begun]:
        """Lend what counts to one thread."""
        ...

    def note(self, queue: str) -> None:
        """Remember that there is *queue*."""

    def sizes(self) -> dict[str, Size]:
        """Return the size of each queue that is known, and has something or is paused."""
        ...

    def ready(self, queues: Iterable[str]) -> int:
        """Return how much waits in *queues* for a worker."""
        ...

    def clear(self, queue: str, dropped: Callable[[bytes], None]) -> int:
        """Drop what waits in *queue*; *dropped* gets each message that may hold a lock, as it was kept."""
        ...

    def pause(self, queue: str) -> None:
        """Let no worker take anything from *queue*."""

    def resume(self, queue: str) -> None:
        """Let workers take from it again."""

    def paused(self) -> frozenset[str]:
        """Return the queues that are paused."""
        ...


def side_of(broker: Any, *, prefix: str, queue_name: Callable[[str], str]) -> Side:
    """Return that of *broker*, on which a queue of ours has the name that *queue_name* says."""
    if isinstance(broker, RedisBroker):
        from broadcaster.queues._broker_redis import RedisSide

        return RedisSide(broker.client, prefix=prefix, namespace=broker.namespace, queue_name=queue_name)
    if isinstance(broker, RabbitmqBroker):
        from broadcaster.queues._broker_rabbitmq import RabbitSide

        return RabbitSide(broker.parameters, prefix=prefix, queue_name=queue_name)
    raise ConfigurationError(
        f"queue 'dramatiq' cannot use a {type(broker).__name__}; give it a broker for Redis or RabbitMQ"
    )
