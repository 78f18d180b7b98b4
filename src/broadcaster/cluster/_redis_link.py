"""Connections to where things live in Redis, whatever servers it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from broadcaster.cluster._lookout import Lookout
from broadcaster.cluster._redis_cluster import Cluster
from broadcaster.cluster._redis_masters import Master, OnlyOne, Sentinels
from broadcaster.cluster._redis_wire import Moved, Moving, Opener, Refusal, Wire
from broadcaster.cluster.redis_url import Address, Nodes, One, Watched, read_url

__all__ = ["Address", "Link", "Links", "Moved", "Moving", "Refusal"]


class Servers(Protocol):
    """The servers of one Redis, and what lives where; a *home* is the place of some of it."""

    @property
    def is_sharded(self) -> bool:
        """Whether it is a cluster, where each topic has a home of its own."""
        ...

    @property
    def homes(self) -> frozenset[Address]:
        """All homes that are known."""
        ...

    def home(self, key: str) -> Address | None:
        """Return where *key* lives, or None where that is not known."""
        ...

    async def locate(self) -> bool:
        """Learn what lives where; return whether that has changed. Raises `OSError` where nobody tells."""
        ...

    async def connect(self, key: str) -> tuple[Wire, Lookout | None]:
        """Return an open connection to where *key* lives now, and who sees that it is the right one."""
        ...

    async def connect_to(self, home: Address) -> tuple[Wire, Lookout | None]:
        """Return an open connection to *home*; see `connect()`."""
        ...


class Links:
    """Leads to the Redis at *url*: one server, a master that sentinels name, or a cluster; see `read_url()`.

    No wait is longer than *seconds*. Raises `ConfigurationError` for a URL that is none, without what it
    says: that may be a password.
    """

    def __init__(self, url: str, *, seconds: float) -> None:
        self.servers: Servers = _servers(url, seconds)

    def link(self, key: str) -> Link:
        """Return a connection to the server that has *key*, and all keys in its slot; it is not open yet."""
        return Link(lambda: self.servers.connect(key))

    def link_to(self, home: Address) -> Link:
        """Return a connection to one of the homes; it is not open yet."""
        return Link(lambda: self.servers.connect_to(home))


class Link:
    """A connection that is used once; whatever goes wrong with it is an `OSError`.

    That the server is not the right one any more is one as well, which is noticed within seconds.
    """

    def __init__(self, connect: Callable[[], Awaitable[tuple[Wire, Lookout | None]]]) -> None:
        self._connect = connect
        self._wire: Wire | None = None
        self._lookout: Lookout | None = None
        self._fault: OSError | None = None

    async def open(self) -> None:
        """Connect."""
        self._wire, self._lookout = await self._connect()
        if self._lookout is not None:
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


def _servers(url: str, seconds: float) -> Servers:
    where = read_url(url)
    opener = Opener(where.url, seconds=seconds)
    match where:
        case One():
            return Master(opener, OnlyOne, seconds=seconds)
        case Watched(sentinel_url=sentinel_url, sentinels=sentinels, service=service):
            finder = partial(Sentinels, Opener(sentinel_url, seconds=seconds), sentinels, service)
            return Master(opener, finder, seconds=seconds)
        case Nodes(addresses=addresses):
            return Cluster(opener, addresses)
