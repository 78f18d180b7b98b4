"""What was begun and not ended, on Redis: how many workers a job has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from broadcaster.drivers._redis_package import reached
from broadcaster.queues._broker_post import SUSPECT
from broadcaster.queues.redis_locks import Redis

__all__ = ["RedisBegun"]

# Of several, those that were begun so often before are left to be begun one by one.
_BEGIN = """
local counts = {}
for number, key in ipairs(KEYS) do
    counts[number] = tonumber(redis.call('GET', key) or '0')
    if counts[number] < tonumber(ARGV[1]) or #KEYS == 1 then
        redis.call('SET', key, counts[number] + 1, 'EX', ARGV[2])
    end
end
return counts
"""
_KEPT_SECONDS = 86_400


class RedisBegun:
    """Counts beneath *prefix*; each is forgotten when its job ends, or a day after it was begun last."""

    def __init__(self, client: Redis, *, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}:begun:"

    def begin(self, jobs: Sequence[str]) -> list[int]:
        """Return how often each was begun before, and never ended; begin them, of several no suspect."""
        keys = self._keys(jobs)
        counts: list[int] = self._run("EVAL", _BEGIN, len(keys), *keys, SUSPECT, _KEPT_SECONDS)
        return counts

    def end(self, jobs: Iterable[str]) -> None:
        """Forget how often *jobs* were begun: their workers have outlived them."""
        if keys := self._keys(jobs):
            self._run("DEL", *keys)

    def _keys(self, jobs: Iterable[str]) -> list[str]:
        return [self._prefix + job for job in jobs]

    def _run(self, *words: str | int) -> Any:
        with reached("the Redis of the queue"):
            return self._client.execute_command(*words)
