"""Carries flows of requests out, blocking and not; what opens connections derives from it."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from email.utils import parsedate_to_datetime

from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, Pause, Unreachable

__all__ = ["Carrier", "seconds_to_wait"]


class Carrier(ABC):
    """Sends the requests that a flow yields, and waits where it says so."""

    def run(self, flow: Attempts) -> HttpResponse:
        """Carry *flow* out, blocking."""
        outcome: HttpResponse | Unreachable | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as finished:
                return finished.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(step)

    async def arun(self, flow: Attempts) -> HttpResponse:
        """Carry *flow* out on the running event loop."""
        outcome: HttpResponse | Unreachable | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as finished:
                return finished.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._asend(step)

    @abstractmethod
    def close(self) -> None:
        """Close the connections that threads use."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections that threads use, and those of the running event loop."""

    @abstractmethod
    def _send(self, request: HttpRequest) -> HttpResponse | Unreachable:
        """Send *request* once; nothing that goes wrong on the way raises."""

    @abstractmethod
    async def _asend(self, request: HttpRequest) -> HttpResponse | Unreachable:
        """Like `_send()`, without blocking the event loop."""


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, as a number or as a date."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
