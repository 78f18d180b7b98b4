"""The client of Redis: the one module of the half that sends which imports it."""

from __future__ import annotations

from broadcaster.errors import MissingExtra

try:
    import redis
    from redis import asyncio as aredis
    from redis import exceptions
except ImportError as error:
    raise MissingExtra(error.name or "redis", extra="redis") from error

__all__ = ["TROUBLE", "aredis", "exceptions", "redis", "short"]

TROUBLE = (redis.RedisError, OSError, UnicodeError)
"""What the client raises where a command did not do what it should."""


def short(error: Exception) -> str:
    """Return the text of *error* as one short line of a log, whatever the server says."""
    return " ".join(str(error).split())[:200] or type(error).__name__
