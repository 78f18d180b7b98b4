from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from broadcaster.queues import _sqlite_file
from broadcaster.queues.failed import Failed, FailedStore
from broadcaster.queues.sqlite_failed import SqliteFailedStore
from tests.queues.test_failed import FailedStoreContract


class TestSqliteFailedStore(FailedStoreContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self._path = tmp_path

    def store(self) -> FailedStore:
        return SqliteFailedStore(self._path / "failed.sqlite3")


def test_what_failed_is_there_after_the_process(tmp_path: Path) -> None:
    store = SqliteFailedStore(tmp_path / "failed.sqlite3")
    store.add(Failed(b"x", "away", 1.0, "mail", "Said", "pusher"))
    store.close()

    [kept] = SqliteFailedStore(tmp_path / "failed.sqlite3").list()

    assert (kept.body, kept.queue, kept.name, kept.driver) == (b"x", "mail", "Said", "pusher")


def test_an_id_that_is_none_finds_nothing(tmp_path: Path) -> None:
    store = SqliteFailedStore(tmp_path / "failed.sqlite3")

    assert store.find("nonsense") is None
    assert not store.forget("nonsense")
    store.close()


def test_a_file_that_cannot_be_reached_is_an_os_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_file, "_BUSY_SECONDS", 0.05)
    store = SqliteFailedStore(tmp_path / "failed.sqlite3")
    other = sqlite3.connect(tmp_path / "failed.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(OSError, match="it was locked by others"):
        store.add(Failed(b"x", "away", 1.0))

    other.close()
    store.close()
