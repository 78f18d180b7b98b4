"""What a worker has of its supervisor: sockets, a number, and a line on which they talk."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from broadcaster.errors import BroadcastError

__all__ = ["VARIABLE", "Supervision"]

VARIABLE = "BROADCAST_WORKER"
"""The variable by which a process knows that it is a worker, and of whom."""


@dataclass(frozen=True, slots=True)
class Supervision:
    """The *number* of a worker, the sockets of its *port* and of its *metrics*, and its end of the *line*.

    The line ends with the supervisor, however that ends.
    """

    number: int
    port: list[socket.socket]
    metrics: list[socket.socket]
    line: socket.socket

    @classmethod
    def inherited(cls) -> Supervision | None:
        """Return that of this process, once; None where no supervisor has started it."""
        text = os.environ.pop(VARIABLE, None)
        if text is None:
            return None
        told = json.loads(text)
        return cls(
            told["number"], _sockets(told["port"]), _sockets(told["metrics"]), *_sockets([told["line"]])
        )

    def say(self, **news: object) -> None:
        """Tell the supervisor; see `Worker.hears()`."""
        # Whoever is gone need not be told.
        with suppress(OSError):
            self.line.sendall(json.dumps(news).encode() + b"\n")

    @contextmanager
    def telling_failures(self) -> Iterator[None]:
        """Leave an error that we raise on purpose to the supervisor, and end the process with status 1."""
        try:
            yield
        except BroadcastError as error:
            self.say(failed=str(error))
            raise SystemExit(1) from None

    def hear(self, leave: Callable[[float], None], alone: Callable[[], None]) -> None:
        """Call *leave* when another worker has taken its place, *alone* when the supervisor is gone.

        *leave* gets the seconds over which clients are to be sent to the other workers.
        """
        loop = asyncio.get_running_loop()

        def read() -> None:
            try:
                said = self.line.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            if said:
                leave(json.loads(said)["leave"])
            else:
                loop.remove_reader(self.line)
                alone()

        self.line.setblocking(False)  # noqa: FBT003 - its own name says it
        loop.add_reader(self.line, read)


def _sockets(descriptors: Iterable[Any]) -> list[socket.socket]:
    found = [socket.socket(fileno=int(one)) for one in descriptors]
    for one in found:
        one.set_inheritable(False)
    return found
