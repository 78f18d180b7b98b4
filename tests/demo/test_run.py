from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 20


@contextmanager
def demo(*options: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run `broadcaster demo` in a process of its own, which ends with the block at the latest."""
    command = [sys.executable, "-m", "broadcaster", "demo", *options]
    environment = {**os.environ, **env}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str], pattern: str) -> str:
    """Read on until a line has *pattern* in it."""
    assert process.stdout
    return next(found[0] for line in process.stdout if (found := re.search(pattern, line)))


def address(process: subprocess.Popen[str]) -> str:
    return heard(process, r"http://[\d.]+:\d+/")


def interrupt(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C, and return what the process said to that."""
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=SECONDS)
    return rest


def test_it_serves_the_page_until_it_is_interrupted() -> None:
    with demo("--port=0", "--server-port=0", "--no-browser") as process:
        with urllib.request.urlopen(address(process), timeout=SECONDS) as page:
            status = page.status
        said = interrupt(process)

    assert status == 200
    assert process.returncode == 0
    assert "Stopped." in said


def test_where_a_port_is_taken_it_uses_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = [plain.getsockname()[1] for plain in (one, two)]
        with demo(f"--port={taken[0]}", f"--server-port={taken[1]}", "--no-browser") as process:
            url = address(process)
            interrupt(process)

    assert process.returncode == 0
    assert int(url.rpartition(":")[2].strip("/")) not in taken


def test_it_opens_the_page_in_the_browser(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)

    with demo("--port=0", "--server-port=0", BROWSER=f"{browser} %s") as process:
        url = address(process)
        heard(process, "Ctrl-C")
        interrupt(process)

    assert opened.read_text().strip() == url
