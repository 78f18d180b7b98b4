"""Connections to where things live in Redis, whatever servers it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from broadcaster.cluster._lookout import Lookout
from broadcaster.cluster._redis_masters import Finder, Master, OnlyOne, Sentinels
from broadcaster.cluster._redis_wire import Opener, Refusal, Wire
from broadcaster.cluster.redis_url import Nodes, Watched, read_url
from broadcaster.errors import ConfigurationError

__all__ = ["Link", "Links", "Refusal"]


class Links:
    """Leads to the Redis at *url*: one server, a master that sentinels name, or a cluster; see `read_url()`.

    No wait is longer than *seconds*. Raises `ConfigurationError` for a URL that is none, without what it
    says: that may be a password.
    """

    def __init__(self, url: str, *, seconds: float) -> None:
        where = read_url(url)
        if isinstance(where, Nodes):
            raise ConfigurationError(
                "a cluster of Redis is not known here; write redis:// or redis+sentinel://"
            )
        finder: Callable[[], Finder] = OnlyOne
        if isinstance(where, Watched):
            asker = Opener(where.sentinel_url, seconds=seconds)
            addresses, service = where.sentinels, where.service

            def finder() -> Finder:
                return Sentinels(asker, addresses, service)

        self._servers = Master(Opener(where.url, seconds=seconds), finder, seconds=seconds)

    def link(self, key: str) -> Link:
        """Return a connection to the server that has *key*, and all keys in its slot; it is not open yet."""
        return Link(self._servers.connect)


class Link:
    """A connection that is used once; whatever goes wrong with it is an `OSError`.

    That the server is not the right one any more is one as well, which is noticed within seconds.
    """

    def __init__(self, connect: Callable[[], Awaitable[tuple[Wire, Lookout]]]) -> None:
        self._connect = connect
        self._wire: Wire | None = None
        self._lookout: Lookout | None = None
        self._fault: OSError | None = None

    async def open(self) -> None:
        """Connect."""
        self._wire, self._lookout = await self._connect()
        self._lookout.add(self)

    async def send(self, *commands: tuple[str | bytes, ...]) -> None:
        """Send *commands*; each gets an answer of its own."""
        try:
            await self._opened().send(*commands)
        except OSError as error:
            raise (self._fault or error) from error

    async def read(self) -> Any:
        """Return the next answer, or what was published; raise `TimeoutError` when there is none in time."""
        try:
            return await self._opened().read()
        except OSError as error:
            raise (self._fault or error) from error

    async def leave(self, error: OSError) -> None:
        """Break off: the server is the wrong one, as *error* says."""
        self._fault = error
        if self._wire is not None:
            await self._wire.close()

    async def close(self) -> None:
        """Disconnect, without a farewell."""
        # The wire first: that does not wait, so nothing can come between.
        if self._wire is not None:
            await self._wire.close()
        if self._lookout is not None:
            await self._lookout.remove(self)

    def _opened(self) -> Wire:
        if self._fault is not None or self._wire is None:
            raise self._fault or ConnectionError("it is not open")
        return self._wire
