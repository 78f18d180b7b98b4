"""Code for both worlds: it yields what it waits for, and does not know whether it blocks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar, cast

__all__ = ["Waits", "blocking", "on_loop"]

T = TypeVar("T")

Waits: TypeAlias = Generator[Any, Any, T]
"""Yields what a call returned, and gets the result: in one world that is it, in the other it is awaited."""


def blocking(waits: Waits[T]) -> T:
    """Run *waits*, whose calls blocked until the result was there."""
    try:
        result = next(waits)
        while True:
            result = waits.send(result)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]


async def on_loop(waits: Waits[T]) -> T:
    """Run *waits*, whose calls returned awaitables."""
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    cancelled = task.cancelling()
    try:
        awaitable = next(waits)
        while True:
            try:
                result = await awaitable
                # In Python 3.11 `asyncio.wait_for()` loses a cancellation that comes just as it ends.
                if task.cancelling() > cancelled:
                    raise asyncio.CancelledError  # noqa: TRY301 - as if it had not been lost
            except BaseException as error:  # noqa: BLE001 - raised where it was waited for
                cancelled = task.cancelling()
                awaitable = waits.throw(error)
            else:
                awaitable = waits.send(result)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
