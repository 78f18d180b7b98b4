"""The machine that measures: what it is, its cores, the memory of this process."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["machine", "peak_memory", "raise_file_limit", "two_cores"]

_PACKAGES = ("broadcaster-kit", "pydantic", "blinker", "uvloop", "websockets", "httptools")


def machine() -> dict[str, str]:
    """Describe the machine, the interpreter and the packages that matter."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def peak_memory() -> int:
    """Return the largest resident size that this process has had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not `ru_maxrss`: a new process begins with that of the one which started it.
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("ascii"))
        return int(peak[1]) * 1024 if peak else 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def raise_file_limit() -> None:
    """Let this process, and those it starts, open as many sockets as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def two_cores() -> Iterator[int | None]:
    """Keep this process on one core; yield another one for a server, or None where there is none."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        yield None
        return
    server, client, *_ = sorted(before)
    os.sched_setaffinity(0, {client})
    try:
        yield server
    finally:
        os.sched_setaffinity(0, before)


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        model = re.search(r"model name\s*:\s*(.+)", described.read_text("utf-8"))
        if model:
            return model[1]
    return platform.processor() or platform.machine()
