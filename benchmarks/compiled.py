"""The programs in C, compiled where they are needed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["compiled", "has_compiler"]

_SECONDS = 60.0


def has_compiler() -> bool:
    """Tell whether there is a C compiler."""
    return shutil.which("cc") is not None


@cache
def compiled(name: str) -> str:
    """Compile `NAME.c` the first time; return the program's path, good for as long as this process."""
    program = f"{_folder().name}/{name}"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["cc", "-O2", "-o", program, source], check=True, timeout=_SECONDS)
    return program


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="benchmarks-")
