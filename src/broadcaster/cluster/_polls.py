"""Asking several at once, until enough have answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["poll"]

T = TypeVar("T")


async def poll(
    questions: Iterable[Coroutine[Any, Any, T]], *, enough: Callable[[list[T]], bool]
) -> tuple[list[T], OSError | None]:
    """Return the answers when they are *enough*, or when there are no more; and why the last is missing."""
    asks = [asyncio.create_task(question) for question in questions]
    answers: list[T] = []
    reason: OSError | None = None
    try:
        for ask in asyncio.as_completed(asks):
            try:
                answers.append(await ask)
            except OSError as error:
                reason = error
            if enough(answers):
                break
    finally:
        for task in asks:
            task.cancel()
        await asyncio.gather(*asks, return_exceptions=True)
    return answers, reason
