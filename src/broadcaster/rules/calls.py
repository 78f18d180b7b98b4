"""The application's own functions, called from both worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["Call", "Steps", "ToThread", "arun", "run"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is to be made: *what* names it in an error."""

    what: str
    function: Callable[..., Any]
    arguments: tuple[object, ...]
    named: dict[str, object]

    def made(self) -> Any:
        """Return what the function returns; raise TypeError where it is async."""
        if _is_async(self.function):
            raise self._async()
        result = self.function(*self.arguments, **self.named)
        if isawaitable(result):
            if iscoroutine(result):
                result.close()
            raise self._async()
        return result

    async def amade(self, to_thread: ToThread) -> Any:
        """Return what the function returns; one that is not async runs in a thread."""
        if _is_async(self.function):
            return await self.function(*self.arguments, **self.named)
        result = await to_thread(self.function, *self.arguments, **self.named)
        return await result if isawaitable(result) else result

    def _async(self) -> TypeError:
        return TypeError(f"{self.what} is async: use aauthorize(), or make it a plain function")


Steps: TypeAlias = Generator[Call, Any, T]
"""Yields calls, gets their results, and returns what comes of them."""


class ToThread(Protocol):
    """What runs a function that may block: `asyncio.to_thread`, or a framework's own."""

    def __call__(
        self, function: Callable[..., Any], /, *arguments: object, **named: object
    ) -> Awaitable[Any]:
        """Return what *function* returns."""
        ...


def run(steps: Steps[T]) -> T:
    """Take the *steps*, one call after another."""
    try:
        call = next(steps)
        while True:
            call = steps.send(call.made())
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


async def arun(steps: Steps[T], *, to_thread: ToThread = asyncio.to_thread) -> T:
    """Take the *steps*, one call after another, without blocking the event loop."""
    try:
        call = next(steps)
        while True:
            call = steps.send(await call.amade(to_thread))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def _is_async(function: Callable[..., Any]) -> bool:
    if isinstance(function, FunctionType | MethodType):
        return iscoroutinefunction(function)
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
