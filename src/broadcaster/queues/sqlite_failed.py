"""The failed store in an SQLite file: what was given up survives the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broadcaster.errors import DeliveryError
from broadcaster.queues._sqlite_file import SqliteFile
from broadcaster.queues.failed import Failed

__all__ = ["SqliteFailedStore", "keep"]

_COLUMNS = "body, reason, at, queue, name, driver, id"


def keep(connection: sqlite3.Connection, failed: Failed) -> str:
    """Add *failed* in a transaction that is under way; return the id that it has from now on."""
    values = (failed.body, failed.reason, failed.at, failed.queue, failed.name, failed.driver)
    added = connection.execute(
        "INSERT INTO failed (body, reason, at, queue, name, driver) VALUES (?, ?, ?, ?, ?, ?)", values
    )
    return str(added.lastrowid)


class SqliteFailedStore:
    """Keeps what failed in *file*, as many as the disk has room for; see `FailedStore`.

    Without *durable* the latest may be lost with the power: right where the queue is in the same file, since
    then it has forgotten as well that it was done with them.
    """

    def __init__(self, file: SqliteFile | str | Path, *, durable: bool = True) -> None:
        self._file = file if isinstance(file, SqliteFile) else SqliteFile(file)
        self._durable = durable

    def add(self, failed: Failed) -> str:
        """See `FailedStore.add()`."""
        with _reached(), self._file.write(durable=self._durable) as connection:
            return keep(connection, failed)

    def list(self, *, most: int = 100) -> Sequence[Failed]:
        """See `FailedStore.list()`."""
        return self._select("ORDER BY id DESC LIMIT ?", most)

    def count(self) -> int:
        """See `FailedStore.count()`."""
        with _reached(), self._file.read() as connection:
            count: int = connection.execute("SELECT count(*) FROM failed").fetchone()[0]
        return count

    def find(self, failed_id: str) -> Failed | None:
        """See `FailedStore.find()`."""
        return next(iter(self._select("WHERE id = ?", failed_id)), None)

    def forget(self, failed_id: str) -> bool:
        """See `FailedStore.forget()`."""
        with _reached(), self._file.write() as connection:
            return connection.execute("DELETE FROM failed WHERE id = ?", (failed_id,)).rowcount > 0

    def flush(self) -> int:
        """See `FailedStore.flush()`."""
        with _reached(), self._file.write() as connection:
            return connection.execute("DELETE FROM failed").rowcount

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _select(self, which: str, value: Any) -> Sequence[Failed]:
        query = f"SELECT {_COLUMNS} FROM failed {which}"  # noqa: S608 - of what stands above
        with _reached(), self._file.read() as connection:
            rows = connection.execute(query, (value,)).fetchall()
        return [
            Failed(body, reason, at, queue, name, driver, str(number))
            for body, reason, at, queue, name, driver, number in rows
        ]


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except DeliveryError as error:
        raise OSError(str(error)) from error
