from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.queues._bell import Listener, ring

LONG = 20.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "queue.sqlite3"
    file.touch(0o640)
    return file


@pytest.fixture
def listener(file: Path) -> Iterator[Listener]:
    listener = Listener(file, ["mail", "default"])
    yield listener
    listener.close()


def waited(listener: Listener, seconds: float = LONG) -> float:
    begun = time.monotonic()
    listener.wait(seconds)
    return time.monotonic() - begun


def test_a_ring_ends_the_waiting(file: Path, listener: Listener) -> None:
    threading.Timer(0.05, ring, [file, "default"]).start()

    assert waited(listener) < LONG / 2


def test_a_ring_is_heard_by_who_listens_later_and_once(file: Path, listener: Listener) -> None:
    for _ in range(3):
        ring(file, "mail")

    assert waited(listener) < LONG / 2
    assert waited(listener, 0.02) >= 0.02


def test_a_ring_for_another_queue_is_not_heard(file: Path, listener: Listener) -> None:
    ring(file, "other")

    assert waited(listener, 0.02) >= 0.02


def test_who_rings_never_waits(file: Path) -> None:
    ring(file, "default")
    listener = Listener(file, ["default"])

    for _ in range(70_000):
        ring(file, "default")

    listener.close()
    ring(file, "default")


def test_a_stop_ends_every_wait_and_may_be_repeated(listener: Listener) -> None:
    threading.Timer(0.05, listener.stop).start()

    first = waited(listener)
    listener.stop()

    assert first < LONG / 2
    assert waited(listener) < LONG / 2


def test_a_stop_after_the_end_is_harmless(file: Path) -> None:
    listener = Listener(file, ["default"])
    listener.close()
    pipe = os.pipe()

    listener.stop()

    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
    for number in pipe:
        os.close(number)


def test_who_may_write_to_the_file_may_ring(file: Path, listener: Listener) -> None:
    pipes = list(file.parent.glob("queue.sqlite3-wake-*"))

    assert [stat.S_IMODE(pipe.stat().st_mode) for pipe in pipes] == [0o640, 0o640]


def test_without_named_pipes_it_looks_often(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "mkfifo")
    listener = Listener(file, ["default"])

    assert waited(listener) < LONG / 2

    listener.close()
