"""`broadcaster serve` in a process of its own, with what it uses and what it complains of."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.waits import until

__all__ = ["ID", "KEY", "SECRET", "Served", "run"]

ID, KEY, SECRET = "1", "soak-key", "soak-secret"

_CONFIG = f"""
[[apps]]
id = "{ID}"
key = "{KEY}"
secret = "{SECRET}"
subscription_counts = true
history = ["kept*"]

[apps.limits]
frames_per_second = 0
client_events_per_second = 1_000_000
"""


class Served:
    """A server for one application, without limits of what clients say; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name, "log")
        config = Path(self._folder.name, "server.toml")
        config.write_text(_CONFIG)
        command = [sys.executable, "-m", "tests.soak.counted", "serve", "--port=0", f"--config={config}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.port = 0

    @property
    def memory(self) -> int:
        """Resident memory, in KB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[0])

    @property
    def cpu(self) -> float:
        """Seconds of CPU."""
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def objects(self) -> dict[str, int]:
        """How many objects it has: `all`, and those of our classes, by the names of these."""
        asked = len(self._counts())
        self._process.send_signal(signal.SIGUSR1)
        until(lambda: len(self._counts()) > asked, seconds=60.0)
        counts: dict[str, int] = json.loads(self._counts()[-1])
        return counts

    @property
    def log(self) -> str:
        """Everything that it has said."""
        return self._log.read_text("utf-8", "replace")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        until(lambda: "listening" in self.log or not self.alive, seconds=20.0)
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log)
        assert found is not None, self.log
        self.port = int(found[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._folder.cleanup()

    def _counts(self) -> list[str]:
        return re.findall(r"^objects: (.*)\n", self.log, re.MULTILINE)


def run(soak: Callable[[Served], Coroutine[Any, Any, list[str]]], *, well: str) -> None:
    """Run *soak* on a server of its own; print the problems that it returns, or that all is *well*.

    Ends the process, with 1 where there are problems.
    """
    with Served() as served:
        problems = asyncio.run(soak(served))
        if not served.alive:
            problems.append("the server has died")
        if "Traceback" in served.log:
            problems.append(served.log[-3_000:])
    print("\n".join(problems) or well)
    sys.exit(bool(problems))
