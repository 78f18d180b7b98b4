import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from broadcaster.server.transports import Transports

SECONDS = 5.0


class Held(asyncio.Protocol):
    """A connection that does nothing by itself."""

    def __init__(self, transports: Transports) -> None:
        self.transports = transports
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.transports.opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transports.lost(self.transport)


class OtherHeld(Held):
    """A connection of another kind."""


@asynccontextmanager
async def connected(
    transports: Transports, kind: Callable[[Transports], Held] = Held
) -> AsyncIterator[tuple[asyncio.Transport, asyncio.StreamReader]]:
    """The server's and the client's end of one real connection."""
    made: asyncio.Queue[Held] = asyncio.Queue()

    def factory() -> Held:
        made.put_nowait(held := kind(transports))
        return held

    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    held = await made.get()
    try:
        yield held.transport, reader
    finally:
        writer.close()
        held.transport.abort()
        server.close()


async def test_whoever_is_late_is_aborted() -> None:
    transports = Transports(asyncio.get_running_loop())
    async with asyncio.timeout(SECONDS), connected(transports) as (transport, reader):
        transports.limit(transport, 0.0)

        transports.enforce()

        assert await reader.read() == b""


async def test_whoever_has_time_left_or_no_limit_stays() -> None:
    transports = Transports(asyncio.get_running_loop())
    async with connected(transports) as (transport, _):
        transports.limit(transport, 60.0)
        transports.enforce()
        transports.limit(transport, 0.0)
        transports.unlimit(transport)

        transports.enforce()

        assert not transport.is_closing()


async def test_only_one_kind_is_closed() -> None:
    transports = Transports(asyncio.get_running_loop())
    async with (
        asyncio.timeout(SECONDS),
        connected(transports) as (idle, _),
        connected(transports, OtherHeld) as (other, _),
    ):
        transports.close_all(OtherHeld)

        assert other.is_closing()
        assert not idle.is_closing()


async def test_waiting_ends_as_soon_as_the_last_one_is_gone() -> None:
    transports = Transports(asyncio.get_running_loop())
    async with asyncio.timeout(SECONDS), connected(transports) as (transport, _):
        transport.close()

        await transports.wait_until_lost(60.0)

        assert transport.is_closing()


async def test_those_that_remain_are_aborted_at_the_end_of_the_wait() -> None:
    transports = Transports(asyncio.get_running_loop())
    async with asyncio.timeout(SECONDS), connected(transports) as (_, reader):
        await transports.wait_until_lost(0.0)

        assert await reader.read() == b""


async def test_nobody_to_wait_for_is_no_wait() -> None:
    await asyncio.wait_for(Transports(asyncio.get_running_loop()).wait_until_lost(60.0), SECONDS)


async def test_whoever_comes_after_that_is_closed_too() -> None:
    transports = Transports(asyncio.get_running_loop())
    transports.close_all(OtherHeld)

    async with asyncio.timeout(SECONDS), connected(transports) as (_, reader):
        assert await reader.read() == b""
