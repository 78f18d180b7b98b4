"""The journal of Redis: what is recorded goes into a stream, and is published with its id."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from broadcaster.cluster._again import run_again
from broadcaster.cluster._annals import Annals, read_recalled
from broadcaster.cluster._asks import Ask, nothing, say
from broadcaster.cluster._followed import Followed, Look
from broadcaster.cluster._redis_link import Link, Links
from broadcaster.cluster.journal import Entry, Keeping, Recalled, Told

__all__ = ["RedisJournal"]

_logger = logging.getLogger("broadcaster.server")

_AT_ONCE = 500
_BYTES_AT_ONCE = 1_048_576
_MOST_BYTES = 67_108_864
_MOST_HOLES = 10_000
_PATIENCE = 5.0


@dataclass(eq=False, slots=True)
class _Record:
    topic: str
    payload: bytes
    name: str
    keeping: Keeping
    delayed: Callable[[], None] | None

    def delay(self) -> None:
        """Say once that it takes its time."""
        if (delayed := self.delayed) is not None:
            self.delayed = None
            delayed()


@dataclass(eq=False, frozen=True, slots=True)
class _Hole:
    topic: str
    keeping: Keeping


class RedisJournal:
    """Records in the Redis at *url*, and has it publish what was recorded on the channels of a `RedisBus`.

    It connects when it is needed first. A Redis that does not answer in *seconds* is left, and looked for
    anew. What could not be recorded is recorded then, up to 64 MiB; of what is lost there are holes. Raises
    `ConfigurationError` for a URL that is none.
    """

    def __init__(self, url: str, *, prefix: str = "", seconds: float = 2.0) -> None:
        self._links = Links(url, seconds=seconds)
        self._seconds = seconds
        self._annals = Annals(prefix)
        self._records: deque[_Record] = deque()
        self._size = 0
        self._holes: dict[str, _Hole] = {}
        self._followed = Followed(self._now)
        self._more = asyncio.Event()
        self._recorded = asyncio.Event()
        self._recorded.set()
        self._is_open = self._was_away = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    @property
    def is_connected(self) -> bool:
        """See `Journal.is_connected`; it is so until it is needed."""
        return self._task is None or self._is_open

    def open(self, told: Told) -> None:
        """See `Journal.open()`; it does not wait for Redis."""
        self._followed.told = told

    def record(
        self, topic: str, payload: bytes, name: str, keeping: Keeping, delayed: Callable[[], None]
    ) -> None:
        """See `Journal.record()`."""
        record = _Record(topic, payload, name, keeping, delayed)
        self._records.append(record)
        self._size += len(payload)
        if self._size > _MOST_BYTES:
            self._lose()
        if self._was_away:
            record.delay()
        self._say_more()

    def miss(self, topic: str, keeping: Keeping) -> None:
        """See `Journal.miss()`."""
        if len(self._holes) < _MOST_HOLES:
            self._holes[topic] = _Hole(topic, keeping)
        self._say_more()

    def follow(self, topic: str, keeping: Keeping, ready: Callable[[str | None], None]) -> None:
        """See `Journal.follow()`."""
        self._followed.add(topic, keeping, ready)
        self._look()

    def unfollow(self, topic: str) -> None:
        """See `Journal.unfollow()`."""
        self._followed.remove(topic)

    def recall(self, topic: str, last_id: str, recalled: Recalled) -> None:
        """See `Journal.recall()`."""
        self._followed.recall(topic, last_id, recalled)
        self._look()

    def hear(self, topic: str, entry: Entry) -> None:
        """See `Journal.hear()`."""
        self._followed.hear(topic, entry)
        if not self._followed.is_known:
            self._look()

    def interrupted(self) -> None:
        """See `Journal.interrupted()`."""
        self._followed.look_at_all()
        if not self._followed.is_known:
            self._look()

    async def aclose(self, seconds: float) -> None:
        """See `Journal.aclose()`."""
        if self._task is None:
            return
        if not self._was_away:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._recorded.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        link = self._links.link("")
        try:
            await link.open()
            await say(link, [Ask(command, nothing) for command in self._annals.load()])
            self._be_back()
            while True:
                if asks := self._asks():
                    await say(link, asks)
                else:
                    self._recorded.set()
                    await self._wait(link)
        finally:
            self._is_open = False
            await link.close()

    def _be_back(self) -> None:
        self._followed.look_again()
        self._is_open = True
        if self._was_away:
            self._was_away = False
            _logger.warning("Redis is back: histories go on")

    def _lost(self, error: OSError) -> None:
        """Note that Redis is away; nobody waits for that to change."""
        if not self._was_away:
            _logger.error("Redis is away (%s): histories cannot be read, nor go on until it is back", error)
        self._was_away = True
        self._followed.be_ready(_PATIENCE)
        for record in list(self._records):
            record.delay()

    async def _wait(self, link: Link) -> None:
        """Wait until there is something to say; meanwhile see that somebody listens."""
        self._more.clear()
        try:
            async with asyncio.timeout(self._seconds):
                await self._more.wait()
        except TimeoutError:
            await say(link, [Ask(("PING",), nothing)])

    def _asks(self) -> list[Ask]:
        """Return what is to be said next: what was said first, since others may look for it."""
        asks = [self._record(record) for record in self._next_records()]
        asks += [self._hole(hole) for hole in islice(self._holes.values(), _AT_ONCE)]
        return asks + [self._recall(look) for look in self._followed.take(_AT_ONCE)]

    def _next_records(self) -> Iterator[_Record]:
        """Yield no more than can be said before Redis seems to be silent."""
        size = 0
        for record in islice(self._records, _AT_ONCE):
            yield record
            size += len(record.payload)
            if size > _BYTES_AT_ONCE:
                return

    def _record(self, record: _Record) -> Ask:
        def take(answer: Any) -> None:
            # One that was lost meanwhile is not here any more.
            if self._records and self._records[0] is record:
                self._size -= len(self._records.popleft().payload)

        return Ask(self._annals.record(record.topic, record.payload, record.name, record.keeping), take)

    def _hole(self, hole: _Hole) -> Ask:
        def take(answer: Any) -> None:
            # Another one may be wanted since.
            if self._holes.get(hole.topic) is hole:
                del self._holes[hole.topic]

        return Ask(self._annals.record(hole.topic, b"", "", hole.keeping), take)

    def _recall(self, look: Look) -> Ask:
        def take(answer: Any) -> None:
            self._followed.looked(look, *read_recalled(answer, after=look.after))

        return Ask(self._annals.recall(look.name, look.after, look.keeping), take)

    def _look(self) -> None:
        if self._was_away:
            self._followed.be_ready(_PATIENCE)
        self._say_more()

    def _say_more(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(
                run_again(self._run, self._lost, what="journal"), name="broadcaster-journal"
            )
        self._recorded.clear()
        self._more.set()

    def _lose(self) -> None:
        """Drop what is oldest, leave holes, and say so once in a while."""
        while self._size > _MOST_BYTES:
            lost = self._records.popleft()
            self._size -= len(lost.payload)
            lost.delay()
            self.miss(lost.topic, lost.keeping)
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1_000 == 0:
                _logger.error("Redis is away for too long: events not in their history: %d", self.dropped)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
