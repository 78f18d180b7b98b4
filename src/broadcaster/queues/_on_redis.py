"""What queues have in common whose client blocks, and which keep locks and what failed on a Redis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

from broadcaster.drivers._redis_package import check_bytes
from broadcaster.errors import DeliveryError
from broadcaster.queues._threads import Threads, run_alone
from broadcaster.queues.envelopes import Envelope
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.redis_failed import RedisFailedStore
from broadcaster.queues.redis_locks import Redis, RedisLocks
from broadcaster.queues.runner import Drivers, Runner, Span

__all__ = ["OnRedis"]


class OnRedis(ABC):
    """Keeps locks and what failed beneath *prefix* on *redis*; where envelopes go, its subclass knows."""

    name: str

    def __init__(self, drivers: Drivers, redis: Redis, *, prefix: str, span: Span | None) -> None:
        check_bytes(redis, who=f"queue {self.name!r}")
        self._prefix = prefix
        self._threads = Threads()
        self._locks = RedisLocks(redis, prefix=prefix)
        self.failed: FailedStore = RedisFailedStore(redis, prefix=prefix)
        self._runner = Runner(drivers, self.failed, release=self.release, span=span)

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`."""
        try:
            wanted = [envelope for envelope in envelopes if self._locks.take(envelope)]
            self._put([(envelope, envelope.delay) for envelope in wanted])
        except BaseException:
            # Whatever it was: what does not wait must keep nothing out.
            with suppress(DeliveryError, OSError):
                for envelope in envelopes:  # which gives back no lock that another one has
                    self.release(envelope)
            raise

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.apush()`: the client blocks, so a thread uses it."""
        await self._threads.run(self.push, envelopes)

    def release(self, envelope: Envelope) -> None:
        """See `Queue.release()`."""
        self._locks.give_back(envelope)

    @abstractmethod
    def close(self) -> None:
        """See `Queue.close()`."""

    async def aclose(self) -> None:
        """See `Queue.aclose()`."""
        await run_alone(self.close)

    @abstractmethod
    def _put(self, envelopes: Sequence[tuple[Envelope, float]]) -> None:
        """Push envelopes, each due after so many seconds; raise `DeliveryError` where they are not taken."""
