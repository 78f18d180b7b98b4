"""What of the histories is to be said at one place: records, holes, and who wants to know what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from broadcaster.cluster._annals import Annals, read_recalled
from broadcaster.cluster._asks import Ask
from broadcaster.cluster._backlog import Backlog
from broadcaster.cluster._followed import Followed, Look, Topic
from broadcaster.cluster.journal import Keeping, Told

__all__ = ["Agenda", "Hole", "Record", "Released"]

_AT_ONCE = 500
_BYTES_AT_ONCE = 1_048_576
_MOST_HOLES = 10_000
_PATIENCE = 5.0


@dataclass(eq=False, slots=True)
class Record:
    """What is to be recorded; *delayed* is called once, where it takes its time."""

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
class Hole:
    """Where nobody knows what was said."""

    topic: str
    keeping: Keeping


@dataclass(frozen=True, slots=True)
class Released:
    """What goes to another place."""

    records: Collection[Record]
    holes: Collection[Hole]
    followed: Collection[Topic]


class Agenda:
    """What is to be said; *told* hears what is new, and *moved* is called with a topic that is elsewhere."""

    def __init__(self, annals: Annals, *, told: Told, moved: Callable[[str], None]) -> None:
        self._annals = annals
        self._moved = moved
        self._records: Backlog[Record] = Backlog()
        self._holes: dict[str, Hole] = {}
        self.followed = Followed(_now)
        self.followed.told = told
        self.more = asyncio.Event()
        """Whether something is new here."""
        self.is_lost = False
        """Whether nothing can be said, and nobody is to wait for that to change."""

    def __bool__(self) -> bool:
        return bool(self._records or self._holes) or not self.followed.is_known

    @property
    def size(self) -> int:
        """How many bytes are to be recorded."""
        return self._records.size

    @property
    def topics(self) -> set[str]:
        """Those that have something here, or are followed."""
        return self._records.topics | self._holes.keys() | self.followed.names

    @property
    def is_in_use(self) -> bool:
        """Whether there is any of those."""
        return bool(self) or bool(self.followed.names)

    def record(self, record: Record) -> None:
        """Record it after all others."""
        self._records.add(record)
        if self.is_lost:
            record.delay()
        self.more.set()

    def miss(self, hole: Hole) -> None:
        """Record a hole."""
        if len(self._holes) < _MOST_HOLES:
            self._holes[hole.topic] = hole
        self.more.set()

    def look(self) -> None:
        """Look at what is followed here, where there is something to look at."""
        if not self.followed.is_known:
            if self.is_lost:
                self.followed.be_ready(_PATIENCE)
            self.more.set()

    def lose_oldest(self) -> None:
        """Drop what was recorded first, and leave a hole."""
        lost = self._records.drop()
        lost.delay()
        self.miss(Hole(lost.topic, lost.keeping))

    def keep_nobody(self) -> None:
        """Let nobody wait for what is here: it takes its time."""
        self._records.keep_nobody()
        self.followed.be_ready(_PATIENCE)
        for record in [*self._records]:
            record.delay()

    def give_up(self) -> None:
        """Let nobody wait either for what comes: nothing can be said now."""
        self.is_lost = True
        self.keep_nobody()

    def close(self) -> None:
        """Forget who waits: nothing will be said any more."""
        self._records.keep_nobody()

    def told(self) -> asyncio.Future[None] | None:
        """Return what is done when all is recorded that is here now; None where nothing is, or can be."""
        return self._records.emptied() if self._records and not self.is_lost else None

    def release(self, topics: Collection[str]) -> Released:
        """Return what is here of *topics*, and forget it."""
        return Released(
            self._records.take(topics.__contains__),
            [self._holes.pop(topic) for topic in self._holes.keys() & topics],
            [topic for name in topics if (topic := self.followed.release(name)) is not None],
        )

    def adopt(self, topic: Topic) -> None:
        """Follow here what another agenda has released."""
        self.followed.adopt(topic)
        self.look()

    def asks(self) -> list[Ask]:
        """Return what is to be said next: what was said first, since others may look for it."""
        asks = [self._ask_for_record(record) for record in self._next_records()]
        asks += [self._ask_for_hole(hole) for hole in islice(self._holes.values(), _AT_ONCE)]
        return asks + [self._ask_for_look(look) for look in self.followed.take(_AT_ONCE)]

    def _next_records(self) -> Iterator[Record]:
        """Yield no more than can be said before Redis seems to be silent."""
        size = 0
        for record in self._records.first(_AT_ONCE):
            yield record
            size += len(record.payload)
            if size > _BYTES_AT_ONCE:
                return

    def _ask_for_record(self, record: Record) -> Ask:
        def take(answer: Any) -> None:
            # One that was lost meanwhile, or has moved, is not here any more.
            if self._records.is_next(record):
                self._records.drop()

        command = self._annals.record(record.topic, record.payload, record.name, record.keeping)
        return Ask(command, take, partial(self._moved, record.topic))

    def _ask_for_hole(self, hole: Hole) -> Ask:
        def take(answer: Any) -> None:
            # Another one may be wanted since.
            if self._holes.get(hole.topic) is hole:
                del self._holes[hole.topic]

        command = self._annals.record(hole.topic, b"", "", hole.keeping)
        return Ask(command, take, partial(self._moved, hole.topic))

    def _ask_for_look(self, look: Look) -> Ask:
        def take(answer: Any) -> None:
            self.followed.looked(look, *read_recalled(answer, after=look.after))

        command = self._annals.recall(look.name, look.after, look.keeping)
        return Ask(command, take, partial(self._moved, look.name))


def _now() -> float:
    return asyncio.get_running_loop().time()
