"""Waiting for what has no event: a look now and again, until a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

__all__ = ["auntil", "until"]

SECONDS = 30.0
"""The deadline, where a test knows no better one: it is reached by what is broken alone."""

# Not at once again: it would keep the core from what is waited for.
_PAUSE = 0.002


def until(condition: Callable[[], Any], *, seconds: float = SECONDS, every: float = _PAUSE) -> Any:
    """Return what *condition* returns once that is true, asked *every* so often; fail after *seconds*."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"the condition did not come true in {seconds:g} seconds"
        time.sleep(every)
    return found


async def auntil(condition: Callable[[], Any], *, seconds: float = SECONDS, every: float = _PAUSE) -> Any:
    """Do what `until()` does, and let the loop of this thread run meanwhile."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"the condition did not come true in {seconds:g} seconds"
        await asyncio.sleep(every)
    return found
