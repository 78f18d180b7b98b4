"""The PROXY protocol: the first bytes of a connection, by which a load balancer tells who is behind it.

Source: <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Protocol, cast

from broadcaster.server.transports import Transports

__all__ = ["Behind", "ProxyHeader", "read_header"]

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_SIZE = 107
_V2_SIZE = 4_096
_SECONDS = 5.0
_FAMILIES = {0x1: ("!4s", 12), 0x2: ("!16s", 36)}


def read_header(data: bytes) -> tuple[str | None, int] | None:
    """Return the client's address and how many bytes the header has, or None where some are missing yet.

    The address is None where the proxy speaks for itself. Raises ValueError for what is no header.
    """
    if data[:12] == _SIGNATURE[: len(data)]:
        return _read_v2(data) if len(data) >= 16 else None
    if b"PROXY "[: len(data)] == data[:6]:
        return _read_v1(data)
    raise ValueError("the connection does not begin with a PROXY header")


def _read_v1(data: bytes) -> tuple[str | None, int] | None:
    line, end, _ = data[:_V1_SIZE].partition(b"\r\n")
    if not end:
        if len(data) >= _V1_SIZE:
            raise ValueError("the PROXY line does not end")
        return None
    match line.split(b" "):
        case [b"PROXY", b"UNKNOWN", *_]:
            return None, len(line) + 2
        case [b"PROXY", b"TCP4" | b"TCP6", source, _, _, _]:
            return str(ip_address(source.decode("ascii"))), len(line) + 2
    raise ValueError("the PROXY line is malformed")


def _read_v2(data: bytes) -> tuple[str | None, int] | None:
    version_and_command, family_and_transport, length = struct.unpack("!BBH", data[12:16])
    if version_and_command >> 4 != 2 or length > _V2_SIZE:
        raise ValueError("the PROXY header is malformed")
    if len(data) < 16 + length:
        return None
    known = _FAMILIES.get(family_and_transport >> 4)
    if version_and_command & 0xF == 0 or known is None:
        return None, 16 + length
    layout, size = known
    if length < size:
        raise ValueError("the PROXY header is too short for its addresses")
    (source,) = struct.unpack_from(layout, data, 16)
    return str(ip_address(source)), 16 + length


class Behind(Protocol):
    """The protocol of the client that is behind the proxy."""

    address: str

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""


class ProxyHeader(asyncio.Protocol):
    """Reads the header, then hands the connection over to what *behind* makes."""

    def __init__(self, behind: Callable[[], Behind], transports: Transports) -> None:
        self._behind = behind
        self._transports = transports
        self._transport: asyncio.Transport
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the proxy a short time."""
        self._transport = cast("asyncio.Transport", transport)
        self._transports.opened(self._transport)
        self._transports.limit(self._transport, _SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the proxy."""
        self._transports.lost(self._transport)

    def data_received(self, data: bytes) -> None:
        """Read on; hang up on who does not speak the protocol."""
        self._data += data
        try:
            header = read_header(self._data)
        except ValueError:
            self._transport.abort()
            return
        if header is None:
            return
        address, size = header
        behind = self._behind()
        self._transport.set_protocol(cast("asyncio.Protocol", behind))
        behind.connection_made(self._transport)
        behind.address = address or behind.address
        if rest := self._data[size:]:
            behind.data_received(rest)
