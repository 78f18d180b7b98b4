from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.queues import _sqlite_file
from broadcaster.queues._sqlite_file import SqliteFile

PAUSE = "INSERT INTO paused (queue) VALUES (?)"
NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite3"


def write(file: SqliteFile, queue: str, *, durable: bool = True) -> None:
    with file.write(durable=durable) as connection:
        connection.execute(PAUSE, (queue,))


def written(path: Path) -> list[str]:
    """Return what a connection of its own finds in the file."""
    connection = sqlite3.connect(path)
    try:
        return [queue for (queue,) in connection.execute("SELECT queue FROM paused ORDER BY queue")]
    finally:
        connection.close()


def as_nobody(act: Callable[[], None]) -> int:
    """Return the status of a child that acts as a user without rights."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_is_written_is_there_for_others(path: Path) -> None:
    file = SqliteFile(path)

    write(file, "a")
    write(file, "b", durable=False)

    assert written(path) == ["a", "b"]
    file.close()


def test_a_transaction_that_raises_is_undone(path: Path) -> None:
    file = SqliteFile(path)

    with pytest.raises(DeliveryError), file.write() as connection:
        connection.executemany(PAUSE, [("a",), ()])

    write(file, "b")
    assert written(path) == ["b"]
    file.close()


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_what_must_survive_the_power_is_synced_to_the_disk(path: Path, durable: bool, level: int) -> None:
    file = SqliteFile(path)
    for _ in range(2):
        with file.write(durable=not durable):
            pass
        with file.write(durable=durable) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    file.close()


def test_a_file_that_was_closed_opens_again(path: Path) -> None:
    file = SqliteFile(path)
    file.close()
    file.close()

    write(file, "a")

    assert written(path) == ["a"]
    file.close()


def test_a_file_is_for_its_owner(path: Path) -> None:
    file = SqliteFile(path)
    write(file, "a")

    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    file.close()


def test_where_the_process_goes_later_is_no_matter(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    file = SqliteFile(path.name)
    file.close()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    write(file, "a")

    assert written(path) == ["a"]
    file.close()


def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    file = SqliteFile(path)
    write(file, "a")
    for each in path.parent.iterdir():
        each.unlink()

    write(file, "b")

    assert written(path) == ["b"]
    file.close()


# Forks


def test_what_a_child_writes_stays_when_its_parent_closes_the_file(path: Path) -> None:
    file = SqliteFile(path)
    write(file, "parent")
    told, tells = os.pipe()
    waits, goes_on = os.pipe()
    child = os.fork()
    if child == 0:
        write(file, "child")
        os.write(tells, b".")
        os.read(waits, 1)
        write(file, "child, later")
        os._exit(0)
    os.read(told, 1)

    file.close()
    os.write(goes_on, b".")

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert written(path) == ["child", "child, later", "parent"]
    for pipe in (told, tells, waits, goes_on):
        os.close(pipe)


def test_a_fork_waits_for_the_transaction_of_another_thread(path: Path) -> None:
    file = SqliteFile(path)
    inside, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with file.write() as connection:
            inside.set()
            let_go.wait(5)
            connection.execute(PAUSE, ("thread",))

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5)
    threading.Timer(0.1, let_go.set).start()
    child = os.fork()
    if child == 0:
        write(file, "child")
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join(5)
    assert written(path) == ["child", "thread"]
    file.close()


# What is wrong


def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as error:
        SqliteFile(path)
    assert repr(str(path)) in str(error.value)
    return str(error.value)


def failing(file: SqliteFile, *, retryable: bool) -> str:
    with pytest.raises(DeliveryError) as error:
        write(file, "late")
    assert error.value.retryable is retryable
    assert repr(str(file.path)) in str(error.value)
    return str(error.value)


def test_a_file_system_of_the_network_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_file, "network_file_system", lambda _: "nfs4")

    assert "on a file system of the network (nfs4), where SQLite cannot keep several processes apart" in (
        refused(path)
    )


def test_a_folder_that_is_not_there_is_told(path: Path) -> None:
    assert refused(path / "queue.sqlite3" / "x").endswith("No such file or directory")


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_text("Dear diary, " * 100)

    assert "it is no SQLite database" in refused(path)
    assert path.read_text().startswith("Dear diary")


def test_a_database_of_another_program_is_refused_and_kept(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title)")
    connection.close()

    assert "it is a database of another program" in refused(path)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    file = SqliteFile(path)
    with file.write() as connection:
        connection.execute("PRAGMA user_version = 2")
    file.close()

    assert "a newer broadcaster wrote it: version 2, 1 is known here" in refused(path)


def test_a_file_that_this_user_may_not_write_to_is_told(path: Path) -> None:
    SqliteFile(path).close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    for above in path.parent.parents:
        if Path(tempfile.gettempdir()) in above.parents:
            above.chmod(0o755)

    def act() -> None:
        assert "it cannot be written to" in refused(path)

    assert as_nobody(act) == 0


def test_a_full_disk_is_told_and_may_be_over_later(path: Path) -> None:
    file = SqliteFile(path)
    with file.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(DeliveryError, match="the disk is full") as error, file.write() as connection:
        connection.execute(PAUSE, ("x" * 100_000,))

    assert error.value.retryable
    write(file, "a")
    assert written(path) == ["a"]
    file.close()


def test_a_file_that_others_lock_too_long_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_file, "_BUSY_SECONDS", 0.05)
    file = SqliteFile(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert "it was locked by others for" in failing(file, retryable=True)

    other.execute("ROLLBACK")
    other.close()
    write(file, "a")
    file.close()


def test_a_file_that_is_damaged_while_it_is_used_is_told(path: Path) -> None:
    file = SqliteFile(path)
    with file.write() as connection:
        connection.executemany(PAUSE, [(f"{number:05}" * 100,) for number in range(1_000)])
    file.close()
    with path.open("r+b") as raw:
        raw.seek(4_096)
        raw.write(b"\xff" * (path.stat().st_size - 4_096))

    assert "it is damaged; move it away" in failing(file, retryable=False)
    file.close()


def test_what_is_in_the_way_for_a_moment_is_told_when_it_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_file, "_BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as others:
        others.execute("BEGIN EXCLUSIVE")
        file = SqliteFile(path)
        with pytest.raises(DeliveryError, match="it was locked by others") as error:
            write(file, "a")
        others.execute("ROLLBACK")

    write(file, "b")
    file.close()

    assert error.value.retryable
    assert written(path) == ["b"]


def test_a_signal_may_have_a_thread_fork_that_is_forking(path: Path) -> None:
    file = SqliteFile(path)
    write(file, "a")

    def is_free() -> bool:
        """Whether another thread gets at the file."""
        found: list[bool] = []
        other = threading.Thread(target=lambda: found.append(file.lock.acquire(blocking=False)))
        other.start()
        other.join()
        return found[0]

    _sqlite_file._before_fork()
    _sqlite_file._before_fork()
    _sqlite_file._after_fork()
    was_free = is_free()
    _sqlite_file._after_fork()

    assert not was_free
    write(file, "b")
    assert written(path) == ["a", "b"]
    file.close()


def test_who_forks_lets_those_go_on_who_hold_the_file_and_want_to_fork(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_file, "_FORK_SECONDS", 0.01)
    file, holds, forked = SqliteFile(path), threading.Event(), threading.Event()

    def hold_and_fork() -> None:
        with file.lock:
            holds.set()
            assert is_forking.wait(30)
            _sqlite_file._before_fork()
            _sqlite_file._after_fork()
            forked.set()

    is_forking = threading.Event()
    other = threading.Thread(target=hold_and_fork)
    other.start()
    assert holds.wait(30)
    may_at_once = _sqlite_file._may_fork()
    is_forking.set()
    _sqlite_file._before_fork()
    _sqlite_file._after_fork()
    other.join(30)

    assert not may_at_once
    assert forked.is_set()
    file.close()


def test_of_two_threads_that_fork_at_once_one_waits_for_the_other() -> None:
    has_begun = threading.Event()

    def fork() -> None:
        _sqlite_file._before_fork()
        has_begun.set()
        _sqlite_file._after_fork()

    _sqlite_file._before_fork()
    other = threading.Thread(target=fork)
    other.start()
    had_begun = has_begun.wait(0.1)
    _sqlite_file._after_fork()
    other.join(30)

    assert not had_begun
    assert has_begun.is_set()
