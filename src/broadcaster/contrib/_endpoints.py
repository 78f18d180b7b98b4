"""Where Echo and pusher-js ask an application for leave, and by which methods."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from broadcaster.answers import Answer
from broadcaster.encoding import encode

__all__ = ["ENDPOINTS", "METHODS", "PREFIX", "failure", "headers_of", "wrong_method"]

PREFIX = "/broadcasting"

ENDPOINTS = MappingProxyType({"/auth": False, "/user-auth": True})
"""The paths beneath the prefix, and whether one is for signing in."""

METHODS: tuple[Literal["GET", "POST"], ...] = ("GET", "POST")


def wrong_method() -> Answer:
    """Return what is answered to another method."""
    return _error(405, "use GET or POST")


def failure() -> Answer:
    """Return what is answered where the application's own code raised; what it was stays in the log."""
    return _error(500, "internal server error")


def headers_of(answer: Answer) -> dict[str, str]:
    """Return the headers of *answer*, for a caller that sends every one of them itself."""
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    return headers | {"Allow": ", ".join(METHODS)} if answer.status == 405 else headers


def _error(status: int, reason: str) -> Answer:
    return Answer(status, encode({"error": reason}).encode())
