"""What waits in an SQLite file: jobs, the locks that they hold, and the queues that are paused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from broadcaster.queues._leases import Held, Taken
from broadcaster.queues._sqlite_file import SqliteFile
from broadcaster.queues.envelopes import Envelope, seal
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.sqlite_failed import keep
from broadcaster.queues.working import Size

__all__ = ["SqliteJobs"]

_PURGED_AT_ONCE = 100

_LOCK = """
    INSERT INTO locks (key, owner, until) VALUES (:key, :owner, :until)
    ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE until <= :now OR owner = excluded.owner
"""
_PURGE = "DELETE FROM locks WHERE key IN (SELECT key FROM locks WHERE until <= ? LIMIT ?)"
_ADD = "INSERT INTO jobs (queue, driver, due, tries, message, lock, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_NEXT_DUE = "SELECT min(due) FROM jobs WHERE queue = ? AND queue NOT IN (SELECT queue FROM paused)"
_READY = """
    SELECT id, claims + 1, body, lost + held, tries, driver FROM jobs
    WHERE queue = ? AND due <= ? AND queue NOT IN (SELECT queue FROM paused) ORDER BY due, id LIMIT ?
"""
# Whoever was held when its lease ended was lost by the worker that held it.
_TAKE = "UPDATE jobs SET due = ?, lost = lost + held, held = 1, claims = ? WHERE id = ?"
_RENEW = "UPDATE jobs SET due = ? WHERE id = ? AND claims = ? AND held"
_DONE = "DELETE FROM jobs WHERE id = ? AND claims = ?"
_AGAIN = "UPDATE jobs SET queue = ?, due = ?, held = 0, body = ? WHERE id = ? AND claims = ?"
# One more claim, so that whoever still works on it cannot say any more what became of it.
_GIVE_BACK = "UPDATE jobs SET due = ?, held = 0, claims = claims + 1 WHERE id = ? AND claims = ? AND held"
_SIZES = """
    SELECT queue, sum(due <= :now), sum(due > :now AND NOT held), sum(due > :now AND held)
    FROM jobs GROUP BY queue
"""
_WAITING = "FROM jobs WHERE queue = :queue AND NOT (held AND due > :now)"
_UNLOCK_WAITING = f"DELETE FROM locks WHERE (key, owner) IN (SELECT lock, message {_WAITING})"  # noqa: S608
_CLEAR = f"DELETE {_WAITING}"


class SqliteJobs:
    """The jobs in *file*; whoever takes some holds them for *lease* seconds, and longer by `renew()`."""

    def __init__(self, file: SqliteFile, *, lease: float, clock: Callable[[], float]) -> None:
        self._file = file
        self._lease = lease
        self._clock = clock

    def add(self, sealed: Iterable[tuple[Envelope, bytes]]) -> None:
        """Keep envelopes in order, all or none; those whose lock another one has are left out."""
        with self._file.write() as connection:
            now = self._clock()
            connection.executemany(
                _ADD,
                [
                    (
                        *(envelope.queue, envelope.driver, now + envelope.delay, envelope.tries),
                        *(envelope.message.id, envelope.unique, body),
                    )
                    for envelope, body in sealed
                    if _take_lock(connection, envelope, now)
                ],
            )

    def release(self, envelope: Envelope) -> None:
        """Give back the lock that *envelope* holds, if it does."""
        if envelope.unique is not None:
            with self._file.write(durable=False) as connection:
                _give_lock_back(connection, envelope)

    def next_due(self, queues: Sequence[str]) -> float | None:
        """See `Leases.next_due()`."""
        with self._file.read() as connection:
            dues = [connection.execute(_NEXT_DUE, (queue,)).fetchone()[0] for queue in queues]
        known = [due for due in dues if due is not None]
        return max(0.0, min(known) - self._clock()) if known else None

    def take(self, queues: Sequence[str], most: int) -> Taken | None:
        """See `Leases.take()`."""
        if self.next_due(queues) != 0.0:
            return None
        with self._file.write(durable=False) as connection:
            now = self._clock()
            for queue in queues:
                ready = connection.execute(_READY, (queue, now, most + 1)).fetchall()
                if ready:
                    taken = _together(ready[:most])
                    until = now + self._lease
                    connection.executemany(_TAKE, [(until, held.token, held.id) for held in taken])
                    return Taken(queue, taken, more=len(ready) > len(taken))
        return None

    def renew(self, jobs: Iterable[Held]) -> None:
        """See `Leases.renew()`."""
        until = self._clock() + self._lease
        self._change(_RENEW, [(until, held.id, held.token) for held in jobs])

    def settle(self, ends: Iterable[tuple[Held, Outcome]]) -> int:
        """See `Leases.settle()`."""
        others = 0
        with self._file.write(durable=False) as connection:
            for held, outcome in ends:
                if connection.execute(*self._end(held, outcome)).rowcount == 0:
                    others += 1
                    continue
                if outcome.failed is not None:
                    keep(connection, outcome.failed)
                if outcome.again is None and outcome.envelope is not None:
                    _give_lock_back(connection, outcome.envelope)
        return others

    def _end(self, held: Held, outcome: Outcome) -> tuple[str, tuple[object, ...]]:
        if (again := outcome.again) is None:
            return _DONE, (held.id, held.token)
        due = self._clock() + outcome.pause
        return _AGAIN, (again.queue, due, seal(again), held.id, held.token)

    def give_back(self, jobs: Iterable[Held]) -> None:
        """See `Leases.give_back()`."""
        self._change(_GIVE_BACK, [(self._clock(), held.id, held.token) for held in jobs])

    def sizes(self) -> dict[str, Size]:
        """Return how much there is in each queue that has something, or is paused."""
        with self._file.read() as connection:
            counts = connection.execute(_SIZES, {"now": self._clock()}).fetchall()
            paused = {queue for (queue,) in connection.execute("SELECT queue FROM paused").fetchall()}
        sizes = {
            queue: Size(ready, delayed, held, paused=queue in paused)
            for queue, ready, delayed, held in counts
        }
        return {**{queue: Size(0, 0, 0, paused=True) for queue in paused}, **sizes}

    def clear(self, queue: str) -> int:
        """Drop what waits in *queue*, with its locks; return how much it was."""
        waiting = {"queue": queue, "now": self._clock()}
        with self._file.write() as connection:
            connection.execute(_UNLOCK_WAITING, waiting)
            return connection.execute(_CLEAR, waiting).rowcount

    def pause(self, queue: str) -> None:
        """Let nothing be taken from *queue*."""
        with self._file.write() as connection:
            connection.execute("INSERT OR IGNORE INTO paused (queue) VALUES (?)", (queue,))

    def resume(self, queue: str) -> None:
        """Let it be taken again."""
        with self._file.write() as connection:
            connection.execute("DELETE FROM paused WHERE queue = ?", (queue,))

    def _change(self, statement: str, jobs: Iterable[tuple[object, ...]]) -> None:
        with self._file.write(durable=False) as connection:
            connection.executemany(statement, jobs)


def _take_lock(connection: sqlite3.Connection, envelope: Envelope, now: float) -> bool:
    if envelope.unique is None:
        return True
    connection.execute(_PURGE, (now, _PURGED_AT_ONCE))
    wanted = {
        "key": envelope.unique,
        "owner": envelope.message.id,
        "until": now + envelope.unique_for,
        "now": now,
    }
    return connection.execute(_LOCK, wanted).rowcount > 0


def _give_lock_back(connection: sqlite3.Connection, envelope: Envelope) -> None:
    if envelope.unique is not None:
        held = envelope.unique, envelope.message.id
        connection.execute("DELETE FROM locks WHERE key = ? AND owner = ?", held)


def _together(ready: Sequence[tuple[int, int, bytes, int, int, str]]) -> list[Held]:
    """Return those that one worker takes: for one driver, and none that may have ended another worker."""
    first, driver = Held(*ready[0][:5]), ready[0][5]
    if first.lost:
        return [first]
    return [Held(*row[:5]) for row in ready if row[5] == driver and not row[3]]
