"""The requests of one connection: answered in their order, though some answers have to be waited for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from broadcaster.protocol.api import ApiRequest, ApiResponse

__all__ = ["Turn", "Turns"]

_logger = logging.getLogger("broadcaster.server")

_BROKEN = ApiResponse(500, "internal server error; the server's log has the details")


class Turn(NamedTuple):
    """A request, or what is answered to one that could not be read; and how the answer is written."""

    request: ApiRequest | ApiResponse
    keep_alive: bool
    head_only: bool = False

    @property
    def name(self) -> str:
        """What was asked, for a log."""
        asked = self.request
        return f"{asked.method} {asked.path[:200]!r}" if isinstance(asked, ApiRequest) else "unreadable"


class Turns:
    """Hands answers to *write*, one after the other; *done* is called when no more is waited for.

    Whoever uses it takes no further requests while it waits, or they would pile up.
    """

    __slots__ = ("_answer", "_done", "_later", "_task", "_write")

    def __init__(
        self,
        answer: Callable[[ApiRequest], ApiResponse | Awaitable[ApiResponse]],
        *,
        write: Callable[[Turn, ApiResponse], None],
        done: Callable[[], None],
    ) -> None:
        self._answer = answer
        self._write = write
        self._done = done
        self._later: deque[Turn] = deque()
        self._task: asyncio.Future[ApiResponse] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is waited for."""
        return self._task is not None

    def take(self, turn: Turn) -> None:
        """Answer the next one, now or when those before it are."""
        if self._task is not None:
            self._later.append(turn)
            return
        answered = self._answered(turn)
        if isinstance(answered, ApiResponse):
            self._write(turn, answered)
        else:
            self._task = asyncio.ensure_future(answered)
            self._task.add_done_callback(partial(self._come, turn))

    def close(self) -> None:
        """Wait for nothing any more."""
        self._later.clear()
        if self._task is not None:
            self._task.cancel()

    def _come(self, turn: Turn, task: asyncio.Future[ApiResponse]) -> None:
        self._task = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _logger.error("%s", turn.name, exc_info=error)
        self._write(turn, _BROKEN if error is not None else task.result())
        while self._later and self._task is None:
            self.take(self._later.popleft())
        if self._task is None:
            self._done()

    def _answered(self, turn: Turn) -> ApiResponse | Awaitable[ApiResponse]:
        if isinstance(turn.request, ApiResponse):
            return turn.request
        try:
            return self._answer(turn.request)
        except Exception:
            _logger.exception("%s", turn.name)
            return _BROKEN
