"""The files that the server hands out."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from broadcaster.protocol.api import ApiRequest, ApiResponse

__all__ = ["asset", "client_js"]

_HEADERS = (
    ("Content-Type", "text/javascript; charset=utf-8"),
    # A module of another origin is loaded only where that origin agrees; there is nothing secret in it.
    ("Access-Control-Allow-Origin", "*"),
    ("Cache-Control", "public, max-age=3600"),
    ("X-Content-Type-Options", "nosniff"),
)


@cache
def client_js() -> str:
    """Return the ES module for browsers."""
    return files("broadcaster.server").joinpath("client.js").read_text("utf-8")


def asset(request: ApiRequest) -> ApiResponse | None:
    """Answer a request for a file; None for any other."""
    if request.path != "/client.js":
        return None
    if request.method not in {"GET", "HEAD"}:
        return ApiResponse(405, "it can be read, and nothing else", allow="GET, HEAD")
    return ApiResponse(200, client_js(), head=_HEADERS)
