"""Who is connected to this server, and who must do something soon or lose the connection."""

from __future__ import annotations

import asyncio

__all__ = ["Transports"]


class Transports:
    """The open transports of one listening socket, some of them with a deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: set[asyncio.Transport] = set()
        self._due: dict[asyncio.Transport, float] = {}
        self._emptied = asyncio.Event()
        self._closing = False
        self.ending = False
        """Whether a client that speaks HTTP is to come back on another connection after its next answer."""

    def opened(self, transport: asyncio.Transport) -> None:
        """Count one more."""
        self._open.add(transport)
        if self._closing:
            # Accepted in the same turn of the loop in which the listening socket was closed.
            transport.close()

    def lost(self, transport: asyncio.Transport) -> None:
        """Count one less."""
        self._open.discard(transport)
        self._due.pop(transport, None)
        if not self._open:
            self._emptied.set()

    def limit(self, transport: asyncio.Transport, seconds: float) -> None:
        """Give *transport* this long from now, whatever it was given before."""
        self._due[transport] = self._loop.time() + seconds

    def unlimit(self, transport: asyncio.Transport) -> None:
        """Let *transport* live as long as it likes."""
        self._due.pop(transport, None)

    def enforce(self) -> None:
        """Abort whoever is late."""
        now = self._loop.time()
        for transport in [transport for transport, due in self._due.items() if due <= now]:
            del self._due[transport]
            transport.abort()

    def close_all(self, protocol: type[asyncio.Protocol]) -> None:
        """Close the transports that *protocol* is on, and any that open later.

        What they have to write is written first; the others close in their own way.
        """
        self._closing = True
        for transport in list(self._open):
            if isinstance(transport.get_protocol(), protocol):
                transport.close()

    async def wait_until_lost(self, seconds: float) -> None:
        """Wait until every transport is gone; abort those that remain after *seconds*."""
        if await self.are_lost_within(seconds):
            return
        for transport in list(self._open):
            transport.abort()
        await self.are_lost_within(1.0)

    async def are_lost_within(self, seconds: float) -> bool:
        """Wait until every transport is gone, or until *seconds* have passed; say which."""
        self._emptied.clear()
        if not self._open:
            return True
        try:
            await asyncio.wait_for(self._emptied.wait(), seconds)
        except TimeoutError:
            return False
        return True
