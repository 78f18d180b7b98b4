"""The requests that a node answers, as operators see them: how many, how long they took, spans."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from broadcaster.protocol.api import ApiRequest
from broadcaster.server.histogram import Histogram

__all__ = ["Requests", "Taken", "Trace", "route_of"]

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_FILES = frozenset({"/client.js", "/livez", "/readyz", "/up"})

# What takes the place of a name is a name itself, so that a route tells no channel and no user.
_ROUTES = [
    (re.compile(pattern), route)
    for pattern, route in (
        (r"/apps/[^/]+/(events|batch_events|channels)", r"/apps/{app_id}/\1"),
        (r"/apps/[^/]+/channels/[^/]+", "/apps/{app_id}/channels/{channel}"),
        (r"/apps/[^/]+/channels/[^/]+/users", "/apps/{app_id}/channels/{channel}/users"),
        (
            r"/apps/[^/]+/users/.+/terminate_connections",
            "/apps/{app_id}/users/{user_id}/terminate_connections",
        ),
        (r"/app/.*", "/app/{key}"),
    )
]


@dataclass(slots=True)
class Taken:
    """A request that is being answered; *status* is that of the answer once there is one."""

    method: str
    route: str
    status: int = 500


Trace: TypeAlias = Callable[[ApiRequest, Taken], AbstractContextManager[None]]
"""Makes a span of what happens inside."""


class Requests:
    """Counts and times requests by route and method; *trace* makes spans of those to the HTTP API."""

    def __init__(self, trace: Trace | None = None) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.seconds: dict[tuple[str, str], Histogram] = {}
        self._trace = trace

    @contextmanager
    def taken(self, request: ApiRequest) -> Iterator[Taken]:
        """Count what is answered inside, which has to tell its status."""
        taken = Taken(request.method if request.method in _METHODS else "other", route_of(request.path))
        is_traced = self._trace is not None and taken.route.startswith("/apps/")
        begun = time.perf_counter()
        try:
            with self._trace(request, taken) if self._trace and is_traced else nullcontext():
                yield taken
        finally:
            key = (taken.route, taken.method)
            self.counts[*key, taken.status] += 1
            if (seconds := self.seconds.get(key)) is None:
                seconds = self.seconds[key] = Histogram(_BOUNDS)
            seconds.observe(time.perf_counter() - begun)


def route_of(path: str) -> str:
    """Return the template that *path* fits, one of a few; `other` when there is none."""
    if path in _FILES:
        return path
    for pattern, route in _ROUTES:
        if (match := pattern.fullmatch(path)) is not None:
            return match.expand(route)
    return "other"
