"""Connecting again, whatever happened."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

__all__ = ["LONGEST", "run_again"]

_logger = logging.getLogger("broadcaster.server")

LONGEST = 1.0
"""Seconds after which, at the latest, it is tried again."""


async def run_again(
    run: Callable[[], Awaitable[None]], lost: Callable[[OSError], None], *, what: str
) -> None:
    """Await *run*, and again whenever it fails, a little later; *what* fails is for the log."""
    while True:
        try:
            await run()
        except OSError as error:
            lost(error)
        except Exception as error:
            # Whatever it is, a node that hears nobody from now on would be worse.
            _logger.exception("the %s has failed, and starts anew", what)
            lost(ConnectionError(repr(error)))
        # By chance, so that the nodes that lost it together do not come back together.
        await asyncio.sleep(random.uniform(0.1, LONGEST))  # noqa: S311 - nobody has to guess it
