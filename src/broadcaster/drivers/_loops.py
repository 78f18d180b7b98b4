"""Something to hold for each event loop, given back when the loop ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each event loop, from *opened*: it yields the value, and closes it after that.

    A generator, because `asyncio.run()` closes those of its loop at the end: whoever works on one
    short-lived loop after another leaves nothing behind. It must yield without having waited.
    """

    def __init__(self, opened: Callable[[], AsyncGenerator[T]]) -> None:
        self._opened = opened
        self._held: dict[asyncio.AbstractEventLoop, _Held[T]] = {}

    async def value(self) -> T:
        """Return the value of the running event loop, opened on first use."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        # Without a frame, the generator has ended: the loop closed it, and goes on all the same.
        if held is None or held.owner.ag_frame is None:  # type: ignore[attr-defined]
            for closed in [known for known in list(self._held) if known.is_closed()]:
                self._held.pop(closed, None)
            owner = self._opened()
            self._held[loop] = held = _Held(await anext(owner), owner)
        return held.value

    async def aclose(self) -> None:
        """Close the value of the running event loop, where there is one."""
        held = self._held.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held.owner.aclose()


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    value: T
    owner: AsyncGenerator[T]
