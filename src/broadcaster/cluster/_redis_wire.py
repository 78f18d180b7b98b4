"""One connection to one server: the one module of the serving half that imports Redis's client."""

from __future__ import annotations

import asyncio
from typing import Any

from broadcaster.cluster.redis_url import Address
from broadcaster.errors import ConfigurationError, MissingExtra

try:
    import redis
    from redis import exceptions
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as error:
    raise MissingExtra(error.name or "redis", extra="redis") from error

__all__ = ["Caller", "Moved", "Moving", "Opener", "Refusal", "Wire"]

# They say nothing about the command: this server cannot do it now, and another one may.
_PASSING = (exceptions.ClusterDownError, exceptions.ReadOnlyError)
_MOVING = (exceptions.AskError, exceptions.TryAgainError)


class Refusal(str):
    """What Redis answers to a command that it does not carry out."""

    __slots__ = ()


class Moving(Refusal):
    """Says that its slot is on the move: it is to be tried again, here or there."""

    __slots__ = ()


class Moved(Moving):
    """Says that another server owns *slot*."""

    __slots__ = ("slot",)

    slot: int


class Opener:
    """Opens connections to servers, each as *url* says; no wait on them is longer than *seconds*.

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
            self.wire(None)
        except (TypeError, ValueError):
            raise ConfigurationError("no address of a Redis; write redis://:password@host:6379/0") from None

    def wire(self, address: Address | None) -> Wire:
        """Return a connection to *address*, or to where the URL says, that is not open yet."""
        arguments = dict(self._pool.connection_kwargs)
        if address is not None:
            arguments |= {"host": address.host, "port": address.port}
        return Wire(self._pool.connection_class(**arguments), self._seconds)


class Wire:
    """A connection that is used once; whatever goes wrong with it is an `OSError`."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    async def open(self) -> None:
        """Connect."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._connection.connect()
        except (redis.RedisError, TimeoutError) as error:
            raise self._plain(error) from error

    async def send(self, *commands: tuple[str | bytes, ...]) -> None:
        """Send *commands*; each gets an answer of its own."""
        packed = self._connection.pack_commands(commands)
        try:
            async with asyncio.timeout(self._seconds):
                await self._connection.send_packed_command(packed, check_health=False)
        except (redis.RedisError, TimeoutError) as error:
            raise self._plain(error) from error

    async def read(self) -> Any:
        """Return the next answer, or what was published; raise `TimeoutError` when there is none in time."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except _PASSING as error:
            raise self._plain(error) from error
        except redis.ResponseError as error:
            return _refusal(error)
        except (redis.RedisError, TimeoutError) as error:
            raise self._plain(error) from error

    async def ask(self, *commands: tuple[str | bytes, ...]) -> list[Any]:
        """Send *commands*, and return the answers."""
        await self.send(*commands)
        return [await self.read() for _ in commands]

    async def close(self) -> None:
        """Disconnect, without a farewell; whoever reads finds out."""
        await self._connection.disconnect(nowait=True)

    def _plain(self, error: Exception) -> OSError:
        # The first words of some are an address, which is known; none tells a password.
        if isinstance(error, redis.TimeoutError | TimeoutError):
            return TimeoutError(str(error) or f"no answer within {self._seconds:g} seconds")
        return ConnectionError(str(error))


class Caller:
    """Asks the server at *address* now and then, on a connection that it keeps."""

    def __init__(self, opener: Opener, address: Address | None) -> None:
        self._opener = opener
        self._address = address
        self._wire: Wire | None = None

    async def ask(self, *commands: tuple[str | bytes, ...]) -> list[Any]:
        """Return the answers; raise `OSError` where there are none."""
        try:
            if self._wire is None:
                self._wire = self._opener.wire(self._address)
                await self._wire.open()
            return await self._wire.ask(*commands)
        except BaseException:
            # Whatever it was, answers may be left in it.
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _refusal(error: redis.ResponseError) -> Refusal:
    if isinstance(error, exceptions.MovedError):
        moved = Moved(f"slot {error.slot_id} has moved")
        moved.slot = error.slot_id
        return moved
    if isinstance(error, _MOVING):
        return Moving("its slot is on the move")
    return Refusal(str(error))
