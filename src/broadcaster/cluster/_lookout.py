"""Whether the server that links lead to is still the right one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

__all__ = ["Lookout", "Watching"]

_logger = logging.getLogger("broadcaster.server")


class Watching(Protocol):
    """Whoever wants to know."""

    async def leave(self, error: OSError) -> None:
        """Use the server no more: it is the wrong one, as *error* says."""


class Lookout:
    """Awaits *look* every *seconds*, as long as somebody watches; where it fails, all of them leave.

    *close* is awaited in the end.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[None]],
        close: Callable[[], Awaitable[None]],
        *,
        seconds: float,
    ) -> None:
        self._look = look
        self._close = close
        self._seconds = seconds
        self._watching: set[Watching] = set()
        self._has_lost_some = False
        self._task = asyncio.create_task(self._run(), name="broadcaster-redis-lookout")

    @property
    def is_trusted(self) -> bool:
        """Whether nobody has gone yet: who does may know of something that is not found out here so far."""
        return not self._has_lost_some

    def add(self, one: Watching) -> None:
        """Tell *one* too."""
        self._watching.add(one)

    async def remove(self, one: Watching) -> None:
        """Tell *one* no more; it ends with the last."""
        self._has_lost_some = True
        self._watching.discard(one)
        if not self._watching:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                # At once: later, the same address may lead to another server.
                await self._look()
                await asyncio.sleep(self._seconds)
        except OSError as error:
            await self._tell(error)
        except Exception as error:
            # Whatever it is, links that nobody looks after would be worse.
            _logger.exception("looking after Redis has failed")
            await self._tell(ConnectionError(repr(error)))
        finally:
            await self._close()

    async def _tell(self, error: OSError) -> None:
        self._has_lost_some = True
        watching, self._watching = self._watching, set()
        for one in watching:
            await one.leave(error)
