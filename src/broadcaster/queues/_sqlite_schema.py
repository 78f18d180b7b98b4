"""The tables of a queue in SQLite."""

from __future__ import annotations

import sqlite3

__all__ = ["prepare"]

_APPLICATION = 0x42435351
_VERSION = 1

# `due` says when a job may be taken: of one that is held, when its lease ends. `claims` counts how often it
# was taken, and is the token by which whoever holds it is known; `lost` counts the leases that ran out. No id
# is used twice: a worker that was away must not meet another job under the number of its own.
_SCHEMA = """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        driver TEXT NOT NULL,
        due REAL NOT NULL,
        held INTEGER NOT NULL DEFAULT 0,
        claims INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL,
        message TEXT NOT NULL,
        lock TEXT,
        body BLOB NOT NULL
    );
    CREATE INDEX jobs_due ON jobs (queue, due);
    CREATE TABLE locks (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX locks_until ON locks (until);
    CREATE TABLE paused (queue TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE failed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body BLOB NOT NULL,
        reason TEXT NOT NULL,
        at REAL NOT NULL,
        queue TEXT NOT NULL,
        name TEXT NOT NULL,
        driver TEXT NOT NULL
    );
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make *connection* safe and the tables, where there are none; raise ValueError where that cannot be."""
    [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise ValueError("its file system cannot share memory between processes, which SQLite needs")
    connection.execute("PRAGMA synchronous = FULL")
    if _known(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _known(connection):
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _known(connection: sqlite3.Connection) -> bool:
    """Return whether the tables are there."""
    application, version, tables = (
        connection.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if not tables and not application:
        return False
    if application != _APPLICATION:
        raise ValueError("it is a database of another program")
    if version > _VERSION:
        raise ValueError(f"a newer broadcaster wrote it: version {version}, {_VERSION} is known here")
    return True
