"""An SQLite file that threads and processes of one machine share."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.queues._mounts import network_file_system
from broadcaster.queues._sqlite_schema import prepare

__all__ = ["SqliteFile"]

_BUSY_SECONDS = 5.0
_FORK_SECONDS, _FORK_REST = 0.05, 0.001
_PASSING = {"SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR"}
_PASSING_NUMBERS = {errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC}
_LASTING = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"}
_PLAIN = {
    "SQLITE_BUSY": f"it was locked by others for {_BUSY_SECONDS:g} s",
    "SQLITE_CANTOPEN": "it cannot be opened; is its folder there, and may this user write to it?",
    "SQLITE_CORRUPT": "it is damaged; move it away with its -wal and -shm, and restore it or start anew",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "its disk does not read or write",
    "SQLITE_NOTADB": "it is no SQLite database; name another file, or move this one away",
    "SQLITE_READONLY": "it cannot be written to; this user needs to write to the file and to its folder",
}


class SqliteFile:
    """The file at *path*, made where there is none; its owner alone may read one that is made.

    One connection serves the threads of a process in turn. Raises `ConfigurationError` where it cannot be
    used at all, and `DeliveryError` in the methods, also for what was in the way when it was made.
    """

    def __init__(self, path: str | Path) -> None:
        # What it is relative to may change while the process lives.
        self.path = Path(path).absolute()
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._durable = True
        if (kind := network_file_system(self.path)) is not None:
            raise ConfigurationError(
                f"queue file {str(self.path)!r} lies on a file system of the network ({kind}), where SQLite "
                "cannot keep several processes apart; name a file on a disk of this machine"
            )
        try:
            self._open()
        except (OSError, sqlite3.Error, ValueError) as error:
            # What may be over when it is used for the first time, is told then.
            if _code(error) not in _PASSING and getattr(error, "errno", None) not in _PASSING_NUMBERS:
                raise ConfigurationError(f"queue file {str(self.path)!r}: {_plain(error)}") from error
        _files.add(self)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a query."""
        with self.lock, self._told():
            yield self._opened()

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a transaction, which is undone where the block raises.

        With *durable* it is on the disk in the end, and survives the power; else only the process.
        """
        with self.lock, self._told():
            connection = self._opened()
            if durable is not self._durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has undone it by itself.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close what this process has open; using it opens it again."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _opened(self) -> sqlite3.Connection:
        # Whoever removes the file must not have the rest written into a hole.
        if self._connection is not None and _inode(self.path) != self._inode:
            self.close()
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._inode, self._durable = connection, _inode(self.path), True
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, ValueError) as error:
            code = _code(error)
            if code != "SQLITE_BUSY":
                self.close()
            raise DeliveryError(
                f"file {str(self.path)!r}: {_plain(error)}",
                driver="queue sqlite",
                retryable=code not in _LASTING and not isinstance(error, ValueError),
            ) from error


def _code(error: BaseException) -> str:
    """Return the name of the primary code of *error*, or nothing."""
    name: str = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])


def _plain(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return _PLAIN.get(_code(error), str(error))


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


# SQLite keeps a list of the locks that a process has, and a child would believe in those of its parent. To
# others it would not seem to be in the file at all, and what it writes could be lost.
_files: WeakSet[SqliteFile] = WeakSet()
_fork_lock = threading.RLock()
"""Held by the one thread that forks."""
_forking: list[list[SqliteFile]] = []
"""Whose locks each of its forks holds: a signal may come between, and what handles it may fork as well."""


def _before_fork() -> None:
    while not _may_fork():
        time.sleep(_FORK_REST)


def _may_fork() -> bool:
    """Close all files, and keep them to this thread; False where others need what it has, to go on."""
    _fork_lock.acquire()
    _forking.append(held := [])
    for file in list(_files):
        if not file.lock.acquire(timeout=_FORK_SECONDS):
            _after_fork()
            return False
        held.append(file)
        file.close()
    return True


def _after_fork() -> None:
    for file in _forking.pop():
        file.lock.release()
    _fork_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
