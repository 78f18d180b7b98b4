"""Where a server listens: an address of its own, or sockets that it shares with other processes."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from broadcaster.errors import ConfigurationError

__all__ = ["Listening", "bind"]


class Listening:
    """One port, at every address of *host*; port 0 takes any free one.

    Somebody else may have bound it: then it is *sockets*, which are closed with it.
    """

    def __init__(self, host: str, port: int, sockets: Iterable[socket.socket] = ()) -> None:
        self.host = host
        self.port = port
        self._sockets = list(sockets)
        self._servers: list[asyncio.Server] = []

    @property
    def address(self) -> str:
        """Host and port, as they stand in a URL."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return bool(self._servers)

    async def open(self, factory: Callable[[], asyncio.Protocol], **options: Any) -> None:
        """Listen on the running event loop; *factory* makes the protocol of each connection.

        For *options* see `loop.create_server()`. Raises `ConfigurationError` when the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        try:
            if not self._sockets:
                self._servers = [await loop.create_server(factory, self.host, self.port, **options)]
            for one in self._sockets:
                self._servers.append(await loop.create_server(factory, sock=one, **options))
        except OSError as error:
            self.close()
            raise ConfigurationError(_unavailable(self.host, self.port, error)) from error
        self.port = self._servers[0].sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        self._servers = []
        self._sockets = []


def bind(host: str, port: int, *, count: int = 1) -> list[list[socket.socket]]:
    """Bind a port *count* times, and return the sockets of each time: one for every address of *host*.

    Nobody listens on them yet. The kernel shares new connections among those on which somebody does; where it
    is not Linux, it would not, and all have the same ones. Port 0 takes any free one. Raises
    `ConfigurationError` when the address cannot be had.
    """
    shared = sys.platform == "linux" and count > 1
    try:
        if shared and port:
            # A port that is shared may be shared with a stranger; whoever does not share is told of him.
            _close(_bind(host, port, shared=False))
        bound = [_bind(host, port, shared=shared)]
        port = bound[0][0].getsockname()[1]
        for _ in range(1, count):
            bound.append(_bind(host, port, shared=True) if shared else bound[0])
    except OSError as error:
        raise ConfigurationError(_unavailable(host, port, error)) from error
    return bound


def _bind(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    bound: list[socket.socket] = []
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            bound.append(one := socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address if port else (address[0], bound[0].getsockname()[1], *address[2:]))
    except BaseException:
        _close(bound)
        raise
    return bound


def _close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _unavailable(host: str, port: int, error: OSError) -> str:
    """Say why nothing can listen on *host* and *port*, and what would help."""
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {host}:{port}: another program does; stop it or choose another port"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"
