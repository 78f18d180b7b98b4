"""Where webhooks wait until they are delivered: an SQLite file, or memory."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from broadcaster.errors import ConfigurationError

__all__ = ["Waiting", "WebhookBuffer", "gather"]

_T = TypeVar("_T")

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS waiting (
        id INTEGER PRIMARY KEY AUTOINCREMENT, lane TEXT NOT NULL, since REAL NOT NULL, event TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS waiting_lane ON waiting (lane, id);
"""


_ADD = "INSERT INTO waiting (lane, since, event) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One *event* on its way down a *lane*, waiting *since* a time in seconds after 1970."""

    lane: str
    since: float
    event: str
    id: int = 0


class WebhookBuffer:
    """Keeps events, by lane and in order, in the file at *path*; without one, as long as the process lives.

    A file belongs to one process at a time. All of the work is done in one thread of its own.
    """

    def __init__(self, path: Path | None) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="broadcaster-webhooks")
        try:
            self._connection = self._thread.submit(_open, path).result()
        except sqlite3.Error as error:
            self._thread.shutdown()
            raise ConfigurationError(f"cannot keep webhooks in {str(path)!r}: {_plain(error)}") from None

    def counts(self) -> dict[str, int]:
        """Return how many events wait in each lane."""
        query = "SELECT lane, count(*) FROM waiting GROUP BY lane"
        return dict(self._thread.submit(lambda: self._connection.execute(query).fetchall()).result())

    async def add(self, events: Iterable[Waiting]) -> None:
        """Keep *events*; when this returns they would survive the process."""
        rows = [(event.lane, event.since, event.event) for event in events]
        await self._run(lambda: self._write(_ADD, rows))

    async def first(self, lane: str, most: int) -> list[Waiting]:
        """Return the events at the head of *lane*, *most* of them."""
        query = "SELECT lane, since, event, id FROM waiting WHERE lane = ? ORDER BY id LIMIT ?"
        rows = await self._run(lambda: self._connection.execute(query, (lane, most)).fetchall())
        return [Waiting(*row) for row in rows]

    async def remove(self, events: Iterable[Waiting]) -> None:
        """Forget *events*."""
        ids = [(event.id,) for event in events]
        await self._run(lambda: self._write("DELETE FROM waiting WHERE id = ?", ids))

    async def keep(self, lanes: Iterable[str]) -> None:
        """Forget the events of all other lanes."""
        marks = list(lanes)
        statement = f"DELETE FROM waiting WHERE lane NOT IN ({', '.join('?' * len(marks))})"  # noqa: S608
        await self._run(lambda: self._write(statement, [tuple(marks)]))

    async def aclose(self) -> None:
        """Close the file."""
        await self._run(self._connection.close)
        self._thread.shutdown(wait=False)

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._connection:
            self._connection.executemany(statement, rows)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def gather(sources: Iterable[Path], into: Path) -> None:
    """Move what waits in the files *sources* into another one; a file that a server uses keeps its own.

    Raises `ConfigurationError` where that cannot be.
    """
    try:
        with closing(_open(into)) as target:
            for path in sources:
                with suppress(sqlite3.OperationalError), closing(_open(path)) as source:
                    rows = source.execute("SELECT lane, since, event FROM waiting ORDER BY id").fetchall()
                    with target:
                        target.executemany(_ADD, rows)
                    with source:
                        source.execute("DELETE FROM waiting")
    except sqlite3.Error as error:
        raise ConfigurationError(f"cannot keep webhooks in {str(into)!r}: {_plain(error)}") from None


def _open(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", timeout=2.0)
    try:
        # Whoever holds the file keeps it, so that two servers never send the same event.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _plain(error: sqlite3.Error) -> str:
    return f"{error}; another server uses it" if "locked" in str(error) else str(error)
