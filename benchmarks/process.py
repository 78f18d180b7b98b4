"""The other end of `serving.py`: a server's process, started, commanded and ended from here."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["ServerProcess", "Usage", "limit_command", "server_command"]

_ANSWER_SECONDS = 60.0
_END_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server has used so far: seconds of CPU, bytes of memory now and at most; its connections."""

    user: float
    system: float
    memory: int
    peak: int
    connections: int

    @property
    def cpu(self) -> float:
        """All seconds of CPU."""
        return self.user + self.system


class ServerProcess:
    """A server that runs *command*, on *core* alone where one is given; a context manager."""

    def __init__(self, command: Sequence[str], *, core: int | None) -> None:
        self._process = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self.port = int(self._answer()["port"])

    def push(self, times: int, *, size: int) -> None:
        """Have *times* frames of *size* bytes pushed to every subscriber; return at once."""
        self._command(f"push {times} {size}")

    def usage(self) -> Usage:
        """Ask what the process has used; the answer comes after all that was commanded before."""
        self._command("usage")
        return Usage(**self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A farewell to thousands of connections is no part of any measurement.
        self._process.kill()
        self._process.communicate(timeout=_END_SECONDS)

    def _command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line, end = b"", time.monotonic() + _ANSWER_SECONDS
        while not line.endswith(b"\n"):
            left = max(0.0, end - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise TimeoutError(f"{self._process.args!r} has not answered within {_ANSWER_SECONDS:g} s")
            if not (piece := self._process.stdout.read(4096)):
                raise EOFError(f"{self._process.args!r} has ended with {self._process.wait(_END_SECONDS)}")
            line += piece
        answer: dict[str, Any] = json.loads(line)
        return answer


def server_command(name: str, *options: str) -> list[str]:
    """Return the command that runs one of the servers of `serving.py`."""
    return [sys.executable, "-m", "benchmarks.serving", name, *options]


@contextmanager
def limit_command() -> Iterator[list[str]]:
    """Compile the limit, and yield the command that runs it; without a compiler it is the one in Python."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        yield [sys.executable, "-m", "benchmarks.limit"]
        return
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/limit"
        source = Path(__file__).with_name("limit.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True, timeout=60)
        yield [program]
