"""A TCP proxy on the loopback interface, between a driver and its peer, that can be told to fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any, Self

from tests.ports import free_port

__all__ = ["Proxy"]

SECONDS = 10.0

GARBAGE = b"\x15\x03\x01\x00\x02 this is no protocol that anybody speaks \r\n\r\n"


class Mode(Enum):
    """What happens to the bytes that a client sends."""

    FORWARD = "they reach the peer, and its answer the client"
    STALL = "they are swallowed"
    GARBLE = "they are answered with garbage"


class Proxy:
    """Stands before the peer at *host* and *port*; use as a context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._peer = (host, port)
        self._mode = Mode.FORWARD
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self.port = free_port()
        """Where the proxy listens; it stays the same."""
        self.connections = 0
        """How many connections were opened."""

    def stop(self) -> None:
        """Break every connection and refuse new ones."""
        self._call(self._stop)

    def start(self) -> None:
        """Listen again at the same port."""
        self._mode = Mode.FORWARD
        self._call(self._start)

    def stall(self) -> None:
        """Swallow what comes in either direction."""
        self._mode = Mode.STALL

    def garble(self) -> None:
        """Answer with garbage, and end the connection."""
        self._mode = Mode.GARBLE

    def resume(self) -> None:
        """Forward again; connections that lost bytes are broken."""
        self._mode = Mode.FORWARD
        self._call(self._break, lambda link: link.lost)

    def lead_to(self, port: int) -> None:
        """Let new connections in to another peer, at *port*; those that there are stay where they are."""
        self._peer = (self._peer[0], port)

    def break_connections(self) -> None:
        """Break every connection; new ones are let in."""
        self._call(self._break, lambda link: True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        asyncio.run_coroutine_threadsafe(function(*arguments), self._loop).result(SECONDS)

    async def _start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)

    async def _stop(self) -> None:
        if self._server is not None:
            for listener in self._server.sockets:
                self._loop.remove_reader(listener.fileno())
            # Python 3.11 forgets to close the connections that it is just letting in.
            for _ in range(3):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        await self._break(lambda link: True)

    async def _end(self) -> None:
        await self._stop()
        # Who was let in the moment before has no link yet.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _break(self, which: Callable[[_Link], bool]) -> None:
        broken = [link for link in self._links if which(link)]
        for link in broken:
            link.task.cancel()
        await asyncio.gather(*(link.task for link in broken), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._server is None:
            writer.transport.abort()
            return
        link = _Link(task)
        self._links.add(link)
        self.connections += 1
        try:
            await self._forward(link, reader, writer)
        except (OSError, asyncio.CancelledError):
            # Cancelled by `_break()` only, which waits for the end of the task.
            pass
        finally:
            self._links.discard(link)
            writer.transport.abort()

    async def _forward(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer_reader, peer_writer = await asyncio.open_connection(*self._peer)
        try:
            pumps = [
                asyncio.ensure_future(self._pump(link, reader, peer_writer, back=writer)),
                asyncio.ensure_future(self._pump(link, peer_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            peer_writer.transport.abort()

    async def _pump(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        *,
        back: asyncio.StreamWriter | None = None,
    ) -> None:
        while chunk := await source.read(65_536):
            if self._mode is Mode.GARBLE and back is not None:
                back.write(GARBAGE)
                await back.drain()
                back.close()
                await back.wait_closed()
                return
            if self._mode is not Mode.FORWARD:
                link.lost = True
                continue
            target.write(chunk)
            await target.drain()


class _Link:
    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.lost = False
