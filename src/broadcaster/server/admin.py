"""A port for those who look after a server: how it is, and what it counts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from broadcaster.protocol.api import ApiRequest, ApiResponse
from broadcaster.server.bounds import Bounds
from broadcaster.server.histogram import Histogram
from broadcaster.server.http import Headers, HttpConnection, encode_response
from broadcaster.server.listening import Listening
from broadcaster.server.node import HEALTH, Node
from broadcaster.server.outbox import Flusher
from broadcaster.server.transports import Transports

if TYPE_CHECKING:
    from broadcaster.server.metrics import Metrics

__all__ = ["Admin"]

_CLOSE_SECONDS = 1.0


class Admin:
    """Serves `/metrics`, `/livez`, `/readyz` and `/up` on a port of its own, and nothing else.

    Port 0 takes any free one; *sockets* are those of the port, where somebody else has bound it. Raises
    `MissingExtra` without `prometheus-client`. Everybody who reaches the port may read it, so it is for this
    machine or for a network of your own.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int, sockets: Iterable[socket.socket] = ()) -> None:
        # What is missing is told when it is wanted, and not when the first one asks.
        import broadcaster.server.metrics  # noqa: F401

        self._listening = Listening(host, port, sockets)
        self._node: Node
        self._metrics: Metrics
        self._transports: Transports
        self._flusher: Flusher

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._listening.host

    @property
    def port(self) -> int:
        """The port it listens on; once it is open never 0."""
        return self._listening.port

    @property
    def url(self) -> str:
        """The address of the metrics."""
        return f"http://{self._listening.address}/metrics"

    async def open(self, node: Node, lateness: Histogram) -> None:
        """Listen, for *node*; raise `ConfigurationError` when the address cannot be had."""
        from broadcaster.server.metrics import Metrics

        self._node, self._metrics = node, Metrics(node, lateness)
        loop = asyncio.get_running_loop()
        self._transports, self._flusher = Transports(loop), Flusher(loop.call_soon)
        await self._listening.open(self._connection)

    def tick(self) -> None:
        """Abort whoever is late; call it about once a second."""
        self._transports.enforce()

    async def aclose(self) -> None:
        """Stop listening."""
        if self._listening.is_open:
            self._listening.close()
            self._flusher()
            self._transports.close_all(HttpConnection)
            await self._transports.wait_until_lost(_CLOSE_SECONDS)

    def answer(self, request: ApiRequest) -> ApiResponse:
        """Answer a request."""
        if request.path != "/metrics" and request.path not in HEALTH:
            return ApiResponse(404, "there is /metrics here, /livez, /readyz and /up")
        if request.method not in {"GET", "HEAD"}:
            return ApiResponse(405, "it can be read, and nothing else", allow="GET, HEAD")
        if request.path in HEALTH:
            return self._node.health(request.path)
        return self._metrics.answer(
            b", ".join(value for name, value in request.headers if name == b"accept").decode("latin-1")
        )

    def _connection(self) -> HttpConnection:
        return HttpConnection(
            answer=self.answer,
            upgrade=_decline,
            transports=self._transports,
            flusher=self._flusher,
            bounds=Bounds(),
        )


def _decline(
    transport: asyncio.Transport, _target: str, _headers: Headers, _beyond: bytes, _peer: str
) -> None:
    transport.write(encode_response(ApiResponse(404, "no WebSocket here"), keep_alive=False))
    transport.close()
