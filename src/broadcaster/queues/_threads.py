"""Threads of a queue's own, to which coroutines leave what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from broadcaster.drivers._processes import PerProcess

__all__ = ["Threads", "run_alone"]

P = ParamSpec("P")
T = TypeVar("T")

_COUNT = 16


class Threads:
    """A few threads for each process, started as they are needed; they end once nothing refers to them.

    Those that event loops lend are for what applications do there, which may be to wait for an event.
    They end with their loop besides, and clients hold a connection for each thread.
    """

    def __init__(self) -> None:
        self._pools = PerProcess(_pool)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *function* in one of them, as `asyncio.to_thread()` does."""
        call = partial(copy_context().run, partial(function, *args, **kwargs))
        try:
            result = asyncio.get_running_loop().run_in_executor(self._pools.value, call)
        except RuntimeError:
            # The interpreter is at its end, and refuses new threads.
            return call()
        return await result

    def close(self) -> None:
        """Let them end when they have done what they are at; the next call starts others."""
        self._pools.dropped()


async def run_alone(function: Callable[[], T]) -> T:
    """Call *function* in a thread of its own, behind nobody who waits."""
    return await Threads().run(function)


def _pool() -> Executor:
    # At the end of the interpreter its module can no longer be imported, if nobody has.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(_COUNT, thread_name_prefix="broadcaster-queue-push")
