"""Processes that the tests start, listen to and end: each by its own pid, each wait with a deadline."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import IO, Any

from tests.ports import free_port
from tests.waits import until

__all__ = ["BroadcasterServer", "Child"]

START = 60.0
STOP = 60.0


class Child:
    """A process and the lines that it writes, which can be awaited: those of stderr if *stdout* is None."""

    def __init__(
        self, *command: str, env: Mapping[str, str] | None = None, stdout: int | None = subprocess.PIPE
    ) -> None:
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE if stdout is None else None,
            encoding="utf-8",
        )
        self._lines: list[str] = []
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        heard = self._process.stdout or self._process.stderr
        self._reader = threading.Thread(target=self._read, args=[heard])
        self._reader.start()

    def say(self, line: str) -> None:
        """Write one line to the process's standard input."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self, pattern: str, *, seconds: float) -> re.Match[str]:
        """Return the next line's match of *pattern*, passing over lines that have none."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._unread.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {pattern!r} in {seconds} seconds; {self.log}") from None
            if line is None:
                raise EOFError(f"the process ended without {pattern!r}; {self.log}")
            if match := re.search(pattern, line):
                return match

    def until(self, condition: Callable[[], Any], *, seconds: float) -> None:
        """Wait until *condition* is true; where the process ends before, fail with what it said."""
        try:
            until(lambda: self._process.poll() is not None or condition(), seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.log}") from None
        assert self._process.poll() is None, f"the process ended; {self.log}"

    def end(self, how: signal.Signals | None = None, *, seconds: float = STOP) -> int:
        """Close the process's input, send it the signal *how* if any, and return its exit code."""
        assert self._process.stdin
        self._process.stdin.close()
        if how is not None:
            self._process.send_signal(how)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TimeoutError(
                f"still alive {seconds} seconds after it was told to stop; {self.log}"
            ) from None
        finally:
            self._reader.join(STOP)

    @property
    def said(self) -> str:
        """Everything that it wrote."""
        return "".join(self._lines)

    @property
    def log(self) -> str:
        """The last lines that the process wrote, for a human."""
        return "its last lines:\n" + "".join(self._lines[-40:])

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line)
                self._unread.put(line)
        self._unread.put(None)


class BroadcasterServer:
    """`broadcaster serve` in a process of its own, on a port that it keeps across restarts.

    With a *redis* it has two workers, and others may serve the same application.
    """

    host = "127.0.0.1"
    app_id = "42"
    key = "e2e-key"
    secret = "e2e-secret"

    def __init__(self, redis: str | None = None) -> None:
        self.port = free_port()
        self.goodbye = 4100 if redis is None else 4200
        """What it closes connections with when it stops."""
        self._redis = redis
        self._start()

    def restart(self, how: signal.Signals) -> int:
        """End the server with the signal *how*, start it again, and return how the old one ended."""
        exit_code = self.stop(how)
        self._start()
        return exit_code

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the server with the signal *how* and return its exit code."""
        return self._child.end(how)

    @property
    def log(self) -> str:
        """The last lines of the server's log."""
        return self._child.log

    def _start(self) -> None:
        settings = ("BROADCAST", "PUSHER", "REDIS")
        env = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
        app = {"id": self.app_id, "key": self.key, "secret": self.secret, "subscription_counts": True}
        env["BROADCAST_APPS"] = json.dumps([app])
        command = [sys.executable, "-m", "broadcaster", "serve", "--host", self.host]
        if self._redis is not None:
            env["BROADCAST_SERVER_REDIS"] = self._redis
            command += ["--workers=2", "--drain-seconds=0.5"]
        self._child = Child(*command, "--port", str(self.port), env=env, stdout=None)
        self._child.hear(rf"listening on http://127\.0\.0\.1:{self.port}\b", seconds=START)
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/up", timeout=START) as response:
            assert response.status == 200
