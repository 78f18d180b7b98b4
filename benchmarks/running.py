"""A server that runs, whoever made it: where it is, what its clients say, how events get in."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, TypeAlias

from benchmarks.publishers import Publish

__all__ = ["NotHere", "Running", "Server", "listening"]

_SECONDS = 30.0


class NotHere(Exception):
    """A server that cannot be run on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: its port, its processes, the script of a subscriber, how events are sent to it."""

    port: int
    pids: Sequence[int]
    script: Callable[[str], Sequence[bytes]]
    publish: Publish


Server: TypeAlias = Callable[[int | None], AbstractContextManager[Running]]
"""Starts a server on one core, or on any; raises `NotHere` where it cannot."""


@contextmanager
def listening(command: Sequence[str], port: int, core: int | None, **env: str) -> Iterator[int]:
    """Run *command* on *core* until the end; yield its pid once something listens on *port*."""
    with tempfile.TemporaryFile() as said, _process(command, said, env) as process:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        _wait_for(port, process, said)
        yield process.pid


@contextmanager
def _process(
    command: Sequence[str], said: IO[bytes], env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=os.environ | env, stdin=subprocess.DEVNULL, stdout=said, stderr=said
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(_SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    said.seek(0)
    raise TimeoutError(f"{process.args!r} does not listen on port {port}: {said.read()[-2_000:].decode()}")
