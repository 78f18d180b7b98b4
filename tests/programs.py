"""Our own program, run as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["broadcaster", "python"]


@contextmanager
def broadcaster(
    *arguments: str,
    stdout: int | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run `broadcaster` with *arguments* in *folder*, with *env* and no other variables of ours."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PUSHER_", "BROADCAST_"))
    }
    command = [sys.executable, "-m", "broadcaster", *arguments]
    with subprocess.Popen(
        command,
        env=clean | dict(env or {}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def python(program: str, *, without: str | None = None) -> str:
    """Return what *program* prints in a Python that has no package *without*, if one is named."""
    hidden = f"import sys; sys.modules[{without!r}] = None\n" if without else ""
    command = [sys.executable, "-c", hidden + program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not result.stderr, result.stderr
    return result.stdout
