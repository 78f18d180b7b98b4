"""A process that obeys lines and answers with lines of JSON."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

__all__ = ["LineProcess"]

_SECONDS = 60.0
_END_SECONDS = 15.0


class LineProcess:
    """Runs *command*, on *core* alone where one is given; a context manager that kills it in the end."""

    def __init__(self, command: Sequence[str], *, core: int | None = None) -> None:
        self._process = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self._said = b""
        if core is not None:
            os.sched_setaffinity(self.pid, {core})

    def say(self, line: str) -> None:
        """Command something; do not wait for its answer, which also tells of a process that has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())

    def answer(self, seconds: float = _SECONDS) -> dict[str, Any]:
        """Return the next answer.

        Raises `TimeoutError` when none comes in time, `EOFError` when the process has ended, and
        `RuntimeError` when it says what is wrong.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + seconds
        while b"\n" not in self._said:
            left = max(0.0, end - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise TimeoutError(f"{self._process.args!r} has not answered within {seconds:g} s")
            if not (piece := self._process.stdout.read(1_048_576)):
                raise EOFError(f"{self._process.args!r} has ended with {self._process.wait(_END_SECONDS)}")
            self._said += piece
        line, _, self._said = self._said.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A farewell to thousands of connections is no part of any measurement.
        self._process.kill()
        self._process.communicate(timeout=_END_SECONDS)
