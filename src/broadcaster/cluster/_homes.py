"""Following what lives in a cluster to where it lives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from broadcaster.cluster._redis_link import Servers

__all__ = ["Following", "follow_homes"]


class Following(Protocol):
    """Whatever has a place at the homes of topics."""

    def follow(self, *, moved: bool) -> None:
        """Go where the topics live now; with *moved* that may be elsewhere."""


async def follow_homes(
    servers: Servers, following: Sequence[Following], astray: asyncio.Event, *, seconds: float
) -> None:
    """Learn the homes anew whenever something is *astray*, and every *seconds*.

    Raises `OSError` where nobody tells.
    """
    while True:
        astray.clear()
        moved = await servers.locate()
        for one in following:
            one.follow(moved=moved)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await astray.wait()
        # They need a moment to agree among themselves.
        await asyncio.sleep(random.uniform(0.1, 0.3))  # noqa: S311 - nobody has to guess it
