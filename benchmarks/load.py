"""Many WebSocket clients in a process of its own, `load.c`: they subscribe, and count what they get."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.compiled import compiled
from benchmarks.process import LineProcess

__all__ = ["Clients", "Report"]

_IN_FLIGHT = 64
_OPEN_SECONDS = 150.0
_MORE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came since the last one: the *fewest* and *most* frames of any client; delays in microseconds.

    *marks* are the times of sending that were found in the frames, and the delays are counted from them; in
    a loop they are those from one sending to the next receiving of a client.
    """

    frames: int
    marks: int
    bytes: int
    fewest: int
    most: int
    p50: int
    p99: int
    longest: int


class Clients:
    """Connections to one server; a context manager. Linux only, for its epoll."""

    def __init__(self, *, core: int | None = None) -> None:
        self._process = LineProcess([compiled("load")], core=core)
        self._folder = tempfile.TemporaryDirectory(prefix="benchmarks-")
        self.count = 0

    def open(
        self, port: int, count: int, script: Sequence[bytes], *, at_once: int = _IN_FLIGHT, buffer: int = 0
    ) -> float:
        """Open *count* connections, *at_once* in flight; return how many seconds that took.

        Each goes through *script*: the request to upgrade, what then is expected in a frame, if anything,
        what is sent next, and so on. *buffer* is the size of the kernel's for what is received, 0 its own.
        """
        self._process.say(f"open {port} {count} {at_once} {buffer} {self._file(script)}")
        seconds = self._process.answer(_OPEN_SECONDS)["seconds"]
        self.count += count
        return float(seconds)

    def ids(self) -> list[str]:
        """Return the socket id that each connection was told, in the order of opening."""
        self._process.say("ids")
        return list(self._process.answer()["ids"])

    def join(self, frames: Iterable[bytes], expected: bytes, *, at_once: int = _IN_FLIGHT) -> float:
        """Have each connection send its own of *frames*, and wait until each has a frame with *expected*.

        Returns how many seconds that took; frames that come to a connection before its own do not count.
        """
        self._process.say(f"join {at_once} {self._file([expected, *frames])}")
        return float(self._process.answer(_OPEN_SECONDS)["seconds"])

    def wait_for(self, what: str, count: int, seconds: float) -> None:
        """Begin to wait until *count* `frames` or `marks` have come since the last report: see `waited()`."""
        self._process.say(f"wait {what} {count} {seconds}")

    def waited(self, seconds: float) -> None:
        """Return when what is waited for has come; raise `RuntimeError` when it did not in time."""
        self._process.answer(seconds + _MORE_SECONDS)

    def loop(self, frames: Iterable[bytes], *, seconds: float, every: int = 1) -> float:
        """Have each connection send its own of *frames* for each frame that it gets; return for how long.

        Every one begins, or one of *every*: then whom they send to answers.
        """
        self._process.say(f"loop {seconds} {every} {self._file(frames)}")
        return float(self._process.answer(seconds + _MORE_SECONDS)["seconds"])

    def stall(self, count: int) -> None:
        """Have the first *count* connections read no more."""
        self._process.say(f"stall {count}")
        self._process.answer()

    def report(self) -> Report:
        """Return what came since the last report."""
        self._process.say("report")
        return Report(**self._process.answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of_error: object) -> None:
        self._process.__exit__(*of_error)
        self._folder.cleanup()

    def _file(self, lines: Iterable[bytes]) -> Path:
        path = Path(self._folder.name) / "script"
        path.write_text("".join(f"{line.hex()}\n" for line in lines), "ascii")
        return path
