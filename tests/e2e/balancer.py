"""A load balancer without a memory: each connection goes to any of the nodes that takes it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

__all__ = ["Balancer"]

_SECONDS = 10.0


class Balancer:
    """Listens on a *port* of its own for the nodes at *ports* of this machine; use as a context manager."""

    host = "127.0.0.1"

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call_and_wait(start=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call_and_wait(start=False)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def _call_and_wait(self, *, start: bool) -> None:
        work = self._start() if start else self._stop()
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, 0, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            node_reader, node_writer = await self._node()
            with closing(node_writer):
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(_pump(reader, node_writer))
                    pumps.create_task(_pump(node_reader, writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            # Whoever is at the other end sees a connection that breaks, as behind any balancer.
            pass
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _node(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for port in random.sample(self._ports, len(self._ports)):
            try:
                return await asyncio.open_connection(self.host, port)
            except OSError:
                continue
        raise ConnectionRefusedError("no node takes connections")


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Carry over everything, and then that it was everything."""
    while chunk := await source.read(65_536):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
