"""`broadcaster serve` in a process of its own, with what it uses and what it complains of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["ID", "KEY", "SECRET", "Served"]

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
"""


class Served:
    """A server for one application, without a limit of frames; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name, "log")
        config = Path(self._folder.name, "server.toml")
        config.write_text(_CONFIG)
        command = [sys.executable, "-m", "broadcaster", "serve", "--port=0", f"--config={config}"]
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

    @property
    def log(self) -> str:
        """Everything that it has said."""
        return self._log.read_text("utf-8", "replace")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log)):
            assert self.alive, self.log
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
