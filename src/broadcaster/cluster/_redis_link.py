"""One connection to Redis: the one module of the server that imports its client."""

from __future__ import annotations

import asyncio
from typing import Any

from broadcaster.errors import ConfigurationError, MissingExtra

try:
    import redis
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as error:
    raise MissingExtra(error.name or "redis", extra="redis") from error

__all__ = ["Link", "Links", "Refusal"]


class Refusal(str):
    """What Redis answers to a command that it does not carry out."""

    __slots__ = ()


class Links:
    """Opens connections to the Redis at *url*; no wait on them is longer than *seconds*.

    Raises `ConfigurationError` for a URL that is none, without what it says: that may be a password.
    """

    def __init__(self, url: str, *, seconds: float) -> None:
        self._seconds = seconds
        try:
            self._pool: Any = ConnectionPool.from_url(
                url,
                socket_connect_timeout=seconds,
                # Not `socket_timeout`: Python 3.11 may swallow a cancellation in the `wait_for()` behind it.
                socket_timeout=None,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,
            )
        except ValueError:
            raise ConfigurationError("no address of a Redis; write redis://:password@host:6379/0") from None

    def link(self) -> Link:
        """Return a connection that is not open yet."""
        return Link(self._pool.make_connection(), self._seconds)


class Link:
    """A connection that is used once; whatever goes wrong with it is an `OSError`."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    async def open(self) -> None:
        """Connect."""
        try:
            await self._connection.connect()
        except redis.RedisError as error:
            raise _plain(error) from error

    async def send(self, *commands: tuple[str | bytes, ...]) -> None:
        """Send *commands*; each gets an answer of its own."""
        packed = self._connection.pack_commands(commands)
        try:
            async with asyncio.timeout(self._seconds):
                await self._connection.send_packed_command(packed, check_health=False)
        except redis.RedisError as error:
            raise _plain(error) from error

    async def read(self) -> Any:
        """Return the next answer, or what was published; raise `TimeoutError` when there is none in time."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except redis.ResponseError as refused:
            return Refusal(str(refused))
        except redis.RedisError as error:
            raise _plain(error) from error

    async def close(self) -> None:
        """Disconnect, without a farewell."""
        await self._connection.disconnect(nowait=True)


def _plain(error: redis.RedisError) -> OSError:
    # The first words of some are an address, which is known; none tells a password.
    return TimeoutError(str(error)) if isinstance(error, redis.TimeoutError) else ConnectionError(str(error))
