"""What a queue keeps on Redis beside its messages, and a look at those that wait there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from broadcaster.drivers._redis_package import TROUBLE
from broadcaster.queues._redis_begun import RedisBegun
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.redis_failed import RedisFailedStore
from broadcaster.queues.redis_locks import Redis, RedisLocks
from broadcaster.queues.working import Size

__all__ = ["RedisSide"]

# Of those that wait, and not of those that a worker holds.
_CLEAR = """
local ids = redis.call('LPOP', KEYS[1], 500)
if not ids then return {} end
local bodies = redis.call('HMGET', KEYS[2], unpack(ids))
redis.call('HDEL', KEYS[2], unpack(ids))
return bodies
"""


class RedisSide:
    """Locks, what failed, and which queues there are and are paused, beneath *prefix*.

    *namespace* is that of the broker, *queue_name* says under which name it has a queue of ours.
    """

    trouble: tuple[type[Exception], ...] = TROUBLE

    def __init__(
        self, client: Redis, *, prefix: str, namespace: str, queue_name: Callable[[str], str]
    ) -> None:
        self._client = client
        self._known_key, self._paused_key = f"{prefix}:queues", f"{prefix}:paused"
        self._namespace = namespace
        self._queue_name = queue_name
        self._known: set[str] = set()
        self.locks: RedisLocks | None = RedisLocks(client, prefix=prefix)
        self.failed: FailedStore = RedisFailedStore(client, prefix=prefix)
        self._begun = _Begun(RedisBegun(client, prefix=prefix))

    def begun(self) -> AbstractContextManager[_Begun]:
        """Lend what counts."""
        return nullcontext(self._begun)

    def note(self, queue: str) -> None:
        """Remember that there is *queue*."""
        if queue not in self._known:
            self._client.execute_command("SADD", self._known_key, queue)
            self._known.add(queue)

    def sizes(self) -> dict[str, Size]:
        """Return the size of each queue that has something, or is paused."""
        paused = self.paused()
        known = self._client.execute_command("SMEMBERS", self._known_key)
        sizes = {
            queue: self._size(queue, paused) for queue in sorted({name.decode() for name in known} | paused)
        }
        return {
            queue: size
            for queue, size in sizes.items()
            if any((size.ready, size.delayed, size.held, size.paused))
        }

    def ready(self, queues: Iterable[str]) -> int:
        """Return how much waits in *queues* for a worker."""
        return sum(self._client.execute_command("LLEN", self._list(queue)) for queue in queues)

    def clear(self, queue: str, dropped: Callable[[bytes], None]) -> int:
        """Drop what waits in *queue*; *dropped* gets each message as the broker had it."""
        count = 0
        for key in (self._list(queue), self._list(queue) + ".DQ"):
            while bodies := self._client.execute_command("EVAL", _CLEAR, 2, key, key + ".msgs"):
                for body in bodies:
                    dropped(body)
                count += len(bodies)
        return count

    def pause(self, queue: str) -> None:
        """Let no worker take anything from *queue*."""
        self._client.execute_command("SADD", self._paused_key, queue)

    def resume(self, queue: str) -> None:
        """Let workers take from it again."""
        self._client.execute_command("SREM", self._paused_key, queue)

    def paused(self) -> frozenset[str]:
        """Return the queues that are paused."""
        return frozenset(name.decode() for name in self._client.execute_command("SMEMBERS", self._paused_key))

    def _size(self, queue: str, paused: frozenset[str]) -> Size:
        key = self._list(queue)
        ready = self._client.execute_command("LLEN", key)
        delayed = self._client.execute_command("HLEN", key + ".DQ.msgs")
        held = self._client.execute_command("HLEN", key + ".msgs") - ready
        return Size(ready, delayed, max(0, held), paused=queue in paused)

    def _list(self, queue: str) -> str:
        return f"{self._namespace}:{self._queue_name(queue)}"


class _Begun:
    """Counts messages; Redis does not tell whether one was handed out before."""

    def __init__(self, begun: RedisBegun) -> None:
        self._begun = begun

    def begin(self, messages: Sequence[Any]) -> list[int]:
        return self._begun.begin([message.message_id for message in messages])

    def end(self, messages: Iterable[Any]) -> None:
        self._begun.end(message.message_id for message in messages)
