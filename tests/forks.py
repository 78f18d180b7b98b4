"""A process that forks off, as servers do it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

__all__ = ["in_a_child"]


def in_a_child(act: Callable[[], object]) -> int:
    """Return the exit status of a process that forks off here and acts: 0, unless it raises."""
    child = os.fork()
    if child == 0:
        with ExitStack() as leaving:
            leaving.callback(os._exit, 1)
            act()
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
