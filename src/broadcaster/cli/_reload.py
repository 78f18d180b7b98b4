"""Run a command anew whenever the application's Python files change."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import typer

__all__ = ["run_reloaded"]

_LOOK_SECONDS = 0.5
_NOT_OURS = {"__pycache__", "node_modules", "site-packages"}


def run_reloaded(command: Sequence[str], folder: Path) -> int:
    """Run *command* until it ends well or a signal comes, and anew when a file in *folder* changes.

    Returns its exit status. A command that fails is run again after the next change; 0 where the signal comes
    while that is waited for.
    """
    return _Reloaded(command, folder).run()


class _Reloaded:
    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        before = {number: signal.signal(number, self._stop) for number in _signals()}
        try:
            seen: dict[str, int] | None = _times(self._folder)
            while seen is not None and not self._stopping:
                status = self._run_once(seen)
                if status == 0 or self._stopping:
                    # What had not begun to listen to signals has died of it.
                    return max(status, 0)
                seen = self._changed(seen)
            return 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run_once(self, seen: dict[str, int]) -> int:
        """Run the command; return its status, or one that is not 0 when a file has changed."""
        # A group of its own: Ctrl-C comes to us, and once from us to it.
        with subprocess.Popen(self._command, process_group=0) as child:  # noqa: S603 - our own
            self._child = child
            if self._stopping:  # since a moment ago
                child.terminate()
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return child.wait(_LOOK_SECONDS)
                if not self._stopping and _times(self._folder) != seen:
                    typer.echo("broadcaster: files have changed; starting again", err=True)
                    child.terminate()
                    return child.wait() or 1

    def _changed(self, seen: dict[str, int]) -> dict[str, int] | None:
        """Wait until something differs from *seen*; return what is there then, or None at the end."""
        while (times := _times(self._folder)) == seen:
            if self._stopping:
                return None
            time.sleep(_LOOK_SECONDS)
        return times

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None:
            # Of a terminal that was closed, the command would not know what to make.
            self._child.send_signal(number if number == signal.SIGINT else signal.SIGTERM)


def _signals() -> list[signal.Signals]:
    """Return what ends it: under `nohup`, not that its terminal is closed."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    found: list[signal.Signals] = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [each for each in found if each.name != "SIGHUP" or signal.getsignal(each) is not signal.SIG_IGN]


def _times(folder: Path) -> dict[str, int]:
    """Return when each Python file of the application below *folder* was changed."""
    times: dict[str, int] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NOT_OURS
            and not Path(place, name, "pyvenv.cfg").exists()
        ]
        for name in files:
            if name.endswith(".py"):
                with suppress(OSError):
                    path = Path(place, name)
                    times[str(path)] = path.stat().st_mtime_ns
    return times
