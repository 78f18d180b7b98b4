"""How a process that pushes wakes one that works, without either knowing the other."""

from __future__ import annotations

import os
import select
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["Listener", "ring"]

_LOOK_SECONDS = 0.05
"""How often to look where the system has no named pipes."""


def ring(file: Path, queue: str) -> None:
    """Wake one who listens for *queue* of *file*; when all are busy, the next who listens does not wait."""
    # Nobody may ever have listened, or the pipe is full of such signs: either is well.
    with suppress(OSError):
        pipe = os.open(_pipe(file, queue), os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            os.write(pipe, b".")
        finally:
            os.close(pipe)


class Listener:
    """Waits for somebody to `ring()` for one of *queues* of *file*; `stop()` ends every wait from then on.

    One thread waits at a time. Each queue has a named pipe beside the file, which stays.
    """

    def __init__(self, file: Path, queues: Iterable[str]) -> None:
        self.stopped = False
        self._poll = select.poll() if hasattr(os, "mkfifo") else None
        self._pipes: list[int] = []
        self._reads, self._writes = os.pipe()
        if self._poll is not None:
            self._poll.register(self._reads, select.POLLIN)
            # A file system without named pipes is as good as a system without them.
            try:
                for queue in queues:
                    self._pipes.append(pipe := _listen(_pipe(file, queue), like=file))
                    self._poll.register(pipe, select.POLLIN)
            except OSError:
                self._poll = None

    def wait(self, seconds: float) -> None:
        """Return when somebody rings, on `stop()`, and after *seconds* at the latest."""
        if self._poll is None:
            if not self.stopped:
                time.sleep(min(seconds, _LOOK_SECONDS))
            return
        for ready, _ in self._poll.poll(max(0.0, seconds) * 1_000):
            if ready != self._reads:
                with suppress(BlockingIOError):
                    os.read(ready, 65_536)

    def stop(self) -> None:
        """End the waiting; safe in a signal handler, and in any thread."""
        if not self.stopped:
            self.stopped = True
            os.write(self._writes, b".")

    def close(self) -> None:
        """Close the pipes, once nobody waits."""
        self.stopped = True
        for pipe in (*self._pipes, self._reads, self._writes):
            os.close(pipe)
        self._pipes = []


def _pipe(file: Path, queue: str) -> Path:
    return file.with_name(f"{file.name}-wake-{zlib.crc32(queue.encode()):08x}")


def _listen(pipe: Path, *, like: Path) -> int:
    """Open *pipe*, made where there is none; who may write to the file *like* may write to it."""
    with suppress(FileExistsError):
        os.mkfifo(pipe, 0o600)
        pipe.chmod(like.stat().st_mode & 0o666)
    # To read and write: with nobody left who writes, a pipe would be ready all the time.
    return os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
