"""`broadcaster serve --workers`, run as people run it."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from tests.programs import broadcaster
from tests.server.clients import APP

__all__ = ["CREDENTIALS", "SECONDS", "Running", "lives", "running"]

CREDENTIALS = {"PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}
SECONDS = 60.0


class Running:
    """`broadcaster serve` with workers; what it logs can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.hear(r"listening on http://127\.0\.0\.1:(\d+)")[1])

    def hear(self, pattern: str) -> re.Match[str]:
        """Return the next line that *pattern* is found in."""
        while True:
            line = self._lines.get(timeout=SECONDS)
            if found := re.search(pattern, line):
                return found

    @property
    def workers(self) -> set[int]:
        """The processes below it."""
        pid = self.process.pid
        return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)


@contextmanager
def running(*options: str) -> Iterator[Running]:
    """Run it until the block ends; when it begins all workers listen."""
    with broadcaster("serve", "--port", "0", *options, env=CREDENTIALS) as process:
        yield Running(process)


def lives(pid: int) -> bool:
    """Whether the process *pid* runs."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
