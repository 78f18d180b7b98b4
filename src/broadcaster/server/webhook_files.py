"""Files in which the webhooks of several workers wait: a file for each."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

from broadcaster.errors import ConfigurationError
from broadcaster.server.webhook_buffer import gather

__all__ = ["claim"]


def claim(path: Path) -> Path:
    """Return the first of the files `path-1`, `path-2` and so on that nobody has; it is this process' own.

    What waits in others that nobody has, in *path* itself too, is moved there: a worker that left could not
    deliver it. Raises `ConfigurationError` where files cannot be made.
    """
    series = (path.with_name(f"{path.name}-{number}") for number in count(1))
    mine = next(file for file in series if _hold(file) is not None)
    others = [file for file in path.parent.glob(f"{path.name}*") if _is_one_of(file, path) and file != mine]
    held = {file: descriptor for file in others if (descriptor := _hold(file)) is not None}
    try:
        gather(held, mine)
    finally:
        for descriptor in held.values():
            os.close(descriptor)
    return mine


def _hold(file: Path) -> int | None:
    """Return a descriptor that keeps others from having *file* until it is closed, or the process ends."""
    # Only POSIX has it, and workers.
    import fcntl

    try:
        descriptor = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot keep webhooks in {str(file)!r}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_one_of(file: Path, path: Path) -> bool:
    return re.fullmatch(rf"{re.escape(path.name)}(-\d+)?", file.name) is not None
