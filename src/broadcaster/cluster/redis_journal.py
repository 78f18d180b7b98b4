"""The journal of Redis: what is recorded goes into a stream, and is published with its id."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from broadcaster.cluster._agenda import Hole, Record
from broadcaster.cluster._redis_link import Links
from broadcaster.cluster._scribes import Scribes
from broadcaster.cluster.journal import Entry, Keeping, Recalled, Told

__all__ = ["RedisJournal"]

_logger = logging.getLogger("broadcaster.server")

_MOST_BYTES = 67_108_864


class RedisJournal:
    """Records in the Redis at *url*, and has it publish what was recorded on the channels of a `RedisBus`.

    In a cluster each topic is recorded at the master that has its channel. It connects where it is needed,
    and when it is needed first. A Redis that does not answer in *seconds* is left, and looked for anew. What
    could not be recorded is recorded then, up to 64 MiB; of what is lost there are holes. Raises
    `ConfigurationError` for a URL that is none.
    """

    def __init__(self, url: str, *, prefix: str = "", seconds: float = 2.0) -> None:
        self._scribes = Scribes(Links(url, seconds=seconds), prefix=prefix, seconds=seconds)
        self.dropped = 0

    @property
    def is_connected(self) -> bool:
        """See `Journal.is_connected`; it is so where it is not needed."""
        return self._scribes.is_connected

    def open(self, told: Told) -> None:
        """See `Journal.open()`; it does not wait for Redis."""
        self._scribes.told_to = told

    def record(
        self, topic: str, payload: bytes, name: str, keeping: Keeping, delayed: Callable[[], None]
    ) -> None:
        """See `Journal.record()`."""
        self._scribes.at(topic).record(Record(topic, payload, name, keeping, delayed))
        if self._size > _MOST_BYTES:
            self._lose()

    def told(self) -> Sequence[Awaitable[None]]:
        """See `Journal.told()`."""
        return self._scribes.told()

    def miss(self, topic: str, keeping: Keeping) -> None:
        """See `Journal.miss()`."""
        self._scribes.at(topic).miss(Hole(topic, keeping))

    def follow(self, topic: str, keeping: Keeping, ready: Callable[[str | None], None]) -> None:
        """See `Journal.follow()`."""
        agenda = self._scribes.at(topic)
        agenda.followed.add(topic, keeping, ready)
        agenda.look()

    def unfollow(self, topic: str) -> None:
        """See `Journal.unfollow()`."""
        self._scribes.find(topic).followed.remove(topic)

    def recall(self, topic: str, last_id: str, recalled: Recalled) -> None:
        """See `Journal.recall()`."""
        agenda = self._scribes.find(topic)
        agenda.followed.recall(topic, last_id, recalled)
        agenda.look()

    def hear(self, topic: str, entry: Entry) -> None:
        """See `Journal.hear()`."""
        agenda = self._scribes.find(topic)
        agenda.followed.hear(topic, entry)
        agenda.look()

    def interrupted(self) -> None:
        """See `Journal.interrupted()`."""
        for agenda in self._scribes.agendas:
            agenda.followed.look_at_all()
            agenda.look()

    async def aclose(self, seconds: float) -> None:
        """See `Journal.aclose()`."""
        await self._scribes.aclose(seconds)

    @property
    def _size(self) -> int:
        return sum(agenda.size for agenda in self._scribes.agendas)

    def _lose(self) -> None:
        """Drop what is oldest where the most waits, leave holes, and say so once in a while."""
        while self._size > _MOST_BYTES:
            max(self._scribes.agendas, key=lambda agenda: agenda.size).lose_oldest()
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1_000 == 0:
                _logger.error("Redis is away for too long: events not in their history: %d", self.dropped)
