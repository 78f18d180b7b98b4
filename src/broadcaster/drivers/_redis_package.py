"""The client of Redis: the one module of the half that sends which imports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from broadcaster.errors import ConfigurationError, MissingExtra

try:
    import redis
    from redis import asyncio as aredis
    from redis import exceptions
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry
except ImportError as error:
    raise MissingExtra(error.name or "redis", extra="redis") from error

__all__ = ["TROUBLE", "aredis", "check_bytes", "client_of", "exceptions", "reached", "redis", "short"]

_SECONDS = 5.0

TROUBLE = (redis.RedisError, OSError, UnicodeError)
"""What the client raises where a command did not do what it should."""


def short(error: Exception) -> str:
    """Return the text of *error* as one short line of a log, whatever the server says."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def reached(what: str) -> Iterator[None]:
    """Turn trouble with *what* into an `OSError`."""
    try:
        yield
    except TROUBLE as error:
        raise OSError(f"{what} cannot be reached: {short(error)}") from error


def client_of(url: str, *, who: str) -> redis.Redis:
    """Return a client of the server at *url* that waits for nothing longer than a few seconds.

    Threads may share it, and processes that fork off. It repeats a command whose answer was lost, once.
    *who* has that URL, should it be none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdecimal():
            raise ValueError(parts.path)  # noqa: TRY301 - which the client would take for 0
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=_SECONDS,
            socket_timeout=_SECONDS,
            retry=Retry(ConstantBackoff(0.1), 1),
        )
    except ValueError:
        # What it says may repeat a password.
        raise no_url(who) from None
    check_bytes(client, who=who)
    return client


def no_url(who: str) -> ConfigurationError:
    """Return the error for a URL that is none, and which may have a password in it."""
    return ConfigurationError(f"{who}: 'url' is expected as redis://user:password@host:port/db")


def disconnect_idle(client: Any) -> None:
    """Close the connections of *client* that nobody uses; it opens others."""
    client.connection_pool.disconnect(inuse_connections=False)


def check_bytes(client: Any, *, who: str) -> None:
    """Raise `ConfigurationError` for a *client* that decodes what Redis says: engines read bytes."""
    pool = getattr(client, "connection_pool", None)
    if getattr(pool, "connection_kwargs", {}).get("decode_responses"):
        raise ConfigurationError(f"{who} reads bytes: make its client of Redis without decode_responses=True")
