"""One worker, as its supervisor sees it: a process that says how far it is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from broadcaster.errors import ConfigurationError
from broadcaster.server.supervision import VARIABLE

__all__ = ["Place", "Worker"]

_WANTING = {"listening": "does not listen", "ready": "does not hear the other nodes"}
_LONGEST_LINE = 16_777_216  # it names all applications


@dataclass(frozen=True, slots=True)
class Place:
    """What is there for one worker after another: a *number*, sockets of the *port* and of its *metrics*.

    Whoever waits on the sockets to be accepted waits for the next worker, when one is gone.
    """

    number: int
    port: Sequence[socket.socket]
    metrics: Sequence[socket.socket] = ()


class Worker:
    """A process that serves in a *place*."""

    def __init__(self, place: Place, process: Process, line: socket.socket) -> None:
        self.place = place
        self._process = process
        self._line = line
        self._said: dict[str, Any] = {}
        self._is_over = False
        self._news = asyncio.Condition()
        self._listener = asyncio.create_task(self._listen(), name=f"broadcaster-{self}")

    @classmethod
    async def start(cls, command: Sequence[str], place: Place) -> Self:
        """Start *command* in a *place*."""
        ours, theirs = socket.socketpair()
        with theirs:
            sockets = {
                "port": [one.fileno() for one in place.port],
                "metrics": [one.fileno() for one in place.metrics],
            }
            told = {"number": place.number, "line": theirs.fileno(), **sockets}
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, VARIABLE: json.dumps(told)},
                pass_fds=[theirs.fileno(), *sockets["port"], *sockets["metrics"]],
                # A terminal's Ctrl-C is for the supervisor, which tells its workers.
                process_group=0,
            )
        return cls(place, process, ours)

    def __str__(self) -> str:
        return f"worker {self.place.number}"

    @property
    def end(self) -> str:
        """How it has ended, for the log."""
        status = self._process.returncode
        reason = self._said.get("failed")
        if reason is not None:
            return f"{self} could not start: {reason}"
        if status is not None and status < 0:
            return f"{self} was ended by {signal.Signals(-status).name}"
        return f"{self} has ended with status {status}"

    async def hears(self, what: str, *, seconds: float) -> Any:
        """Wait until it says *what*: `listening`, with lines for the log, or `ready`, that it hears others.

        Raises `ConfigurationError`, with its own reason if it has one, when it does not within *seconds*.
        """
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: what in self._said or self._is_over)
        except TimeoutError:
            raise ConfigurationError(f"{self} {_WANTING[what]} after {seconds:g} seconds") from None
        if what not in self._said:
            raise ConfigurationError(self._said.get("failed") or self.end)
        return self._said[what]

    async def ended(self) -> None:
        """Wait until it has ended."""
        # A task that waits for it may be cancelled, and others go on.
        await asyncio.shield(self._listener)

    def leave(self, seconds: float) -> None:
        """Tell it that another one has its place: it sends its clients there, over *seconds*, and ends."""
        with suppress(OSError):
            self._line.sendall(json.dumps({"leave": seconds}).encode())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._line, limit=_LONGEST_LINE)
        try:
            async for line in reader:
                async with self._news:
                    self._said |= json.loads(line)
                    self._news.notify_all()
        except (OSError, ValueError):
            self.signal(signal.SIGKILL)
        await self._process.wait()
        writer.close()
        async with self._news:
            self._is_over = True
            self._news.notify_all()
