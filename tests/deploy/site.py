"""What a reverse proxy serves, as its clients see it: by TLS, with a certificate that they believe."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import trustme
from websockets.asyncio.client import ClientConnection, connect

from tests.server.clients import APP

from .nodes import number_of

__all__ = ["SECONDS", "Browser", "Certificate", "Site"]

SECONDS = 15.0


@dataclass(frozen=True)
class Certificate:
    """A certificate of 127.0.0.1, its key, and who says so."""

    chain: Path
    key: Path
    authority: Path

    @classmethod
    def write(cls, folder: Path) -> Certificate:
        """Write one of a new authority."""
        authority, made = trustme.CA(), cls(folder / "chain.pem", folder / "key.pem", folder / "ca.pem")
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(str(made.authority))
        certificate.private_key_pem.write_to_path(str(made.key))
        certificate.cert_chain_pems[0].write_to_path(str(made.chain))
        return made


@dataclass(frozen=True)
class Browser:
    """A WebSocket that a node has greeted; *node* is the number of that node."""

    socket: ClientConnection
    node: int

    async def is_alive(self) -> bool:
        """Whether the node answers."""
        async with asyncio.timeout(SECONDS):
            await self.socket.send('{"event":"pusher:ping","data":{}}')
            return bool(json.loads(await self.socket.recv())["event"] == "pusher:pong")


@dataclass(frozen=True)
class Site:
    """The place of a proxy."""

    port: int
    certificate: Certificate

    @property
    def trust(self) -> ssl.SSLContext:
        """Who believes the authority."""
        return ssl.create_default_context(cafile=str(self.certificate.authority))

    def connect(self, address: str = "127.0.0.1", **headers: str) -> connect:
        """Connect from an *address* of this machine.

        On an event loop: a client with a thread that reads beside one that writes calls OpenSSL from both,
        which it does not allow, and what is written while a session ticket is read may never be sent.
        """
        url = f"wss://127.0.0.1:{self.port}/app/{APP.key}?protocol=7"
        return connect(
            url, ssl=self.trust, local_addr=(address, 0), additional_headers=headers,
            open_timeout=SECONDS, close_timeout=1, proxy=None,
        )  # fmt: skip

    @asynccontextmanager
    async def browser(self, address: str = "127.0.0.1") -> AsyncIterator[Browser]:
        """Connect, and wait until a node has said who it is."""
        async with self.connect(address) as socket:
            async with asyncio.timeout(SECONDS):
                established: dict[str, Any] = json.loads(await socket.recv())
            yield Browser(socket, number_of(established))

    def status(self, path: str, method: str = "GET") -> int:
        """Ask for *path*, and return the status of the answer."""
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=SECONDS, context=self.trust)
        try:
            connection.request(method, path)
            return connection.getresponse().status
        finally:
            connection.close()
