"""The requests that a node answers, as operators see them: how many, how long they took, spans."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TypeAlias

from broadcaster.protocol.api import ApiRequest
from broadcaster.protocol.api_routes import find_route
from broadcaster.server.histogram import Histogram

__all__ = ["Requests", "Taken", "Trace", "route_of"]

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_FILES = frozenset({"/client.js", "/livez", "/readyz", "/up"})


class Taken:
    """A request that is being answered; *status* is that of the answer once there is one.

    Use it as a context manager: it ends with the block, or with a second one after `go_on()`.
    """

    __slots__ = ("_begun", "_ended", "_goes_on", "_span", "method", "route", "status")

    def __init__(
        self, request: ApiRequest, trace: Trace | None, ended: Callable[[Taken, float], None]
    ) -> None:
        self.method = request.method if request.method in _METHODS else "other"
        self.route = route_of(request.path)
        self.status = 500
        self._ended = ended
        self._goes_on = False
        self._span: AbstractContextManager[None] | None = None
        self._begun = time.perf_counter()
        if trace is not None and self.route.startswith("/apps/"):
            self._span = trace(request, self)
            self._span.__enter__()

    def go_on(self) -> Self:
        """Return itself, for the block in which the answer is waited for."""
        self._goes_on = True
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._goes_on:
            self._goes_on = False
            return
        try:
            if self._span is not None:
                self._span.__exit__(kind, error, trace)
        finally:
            self._ended(self, time.perf_counter() - self._begun)


Trace: TypeAlias = Callable[[ApiRequest, Taken], AbstractContextManager[None]]
"""Makes a span of what happens inside."""


class Requests:
    """Counts and times requests by route and method; *trace* makes spans of those to the HTTP API."""

    def __init__(self, trace: Trace | None = None) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.seconds: dict[tuple[str, str], Histogram] = {}
        self._trace = trace

    def taken(self, request: ApiRequest) -> Taken:
        """Count what is answered until it ends; whoever answers tells the status."""
        return Taken(request, self._trace, self._count)

    def _count(self, taken: Taken, seconds: float) -> None:
        key = (taken.route, taken.method)
        self.counts[*key, taken.status] += 1
        if (histogram := self.seconds.get(key)) is None:
            histogram = self.seconds[key] = Histogram(_BOUNDS)
        histogram.observe(seconds)


def route_of(path: str) -> str:
    """Return the template that *path* fits, one of a few; `other` when there is none.

    What takes the place of a name is a name itself, so that it tells no channel and no user.
    """
    if (route := find_route(path)) is not None:
        return route.template
    if path in _FILES:
        return path
    return "/app/{key}" if path.startswith("/app/") else "other"
