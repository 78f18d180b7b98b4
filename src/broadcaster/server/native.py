"""The native shell: WebSocket and HTTP API on one port, straight on the event loop's transports."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from broadcaster.protocol.api import ApiResponse
from broadcaster.protocol.handshake import Refusal, Visit
from broadcaster.server.bounds import Bounds
from broadcaster.server.handshake import Handshake, shake
from broadcaster.server.http import Headers, HttpConnection, encode_response
from broadcaster.server.node import Node
from broadcaster.server.outbox import Flusher, outbox_of
from broadcaster.server.proxies import Proxies
from broadcaster.server.proxy_protocol import ProxyHeader
from broadcaster.server.query import read_params
from broadcaster.server.routes import Routes
from broadcaster.server.transports import Transports
from broadcaster.server.websocket import WebSocketConnection

__all__ = ["NativeShell"]


class NativeShell:
    """Makes the protocol of each connection that a listening socket accepts.

    *bounds* are those of every connection; *proxies* stand before the server.
    """

    def __init__(
        self,
        node: Node,
        transports: Transports,
        flusher: Flusher,
        *,
        bounds: Bounds,
        proxies: Proxies,
    ) -> None:
        self._node = node
        self._routes = Routes(node)
        self._transports = transports
        self._bounds = bounds
        self._proxies = proxies
        self._flusher = flusher

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        return ProxyHeader(self._http, self._transports) if self._proxies.protocol else self._http()

    def _http(self) -> HttpConnection:
        return HttpConnection(
            answer=self._routes.answer,
            upgrade=self._upgrade,
            transports=self._transports,
            flusher=self._flusher,
            bounds=self._bounds,
        )

    def _upgrade(
        self, transport: asyncio.Transport, target: str, headers: Headers, beyond: bytes, peer: str
    ) -> None:
        path, _, query = target.partition("?")
        if not path.startswith("/app/"):
            self._decline(transport, ApiResponse(404, "no WebSocket here: the address is /app/{key}"))
        elif not self._node.is_open:
            # Not 4200: before the first frame pusher-js would come back in a tight loop. As long as the node
            # drains, whoever it has accepted is let in, and sent away with the others.
            self._decline(transport, ApiResponse(503, "the server is going away"))
        elif isinstance(handshake := shake(headers), ApiResponse):
            self._decline(transport, handshake)
        else:
            visit = Visit(read_params(query), handshake.origin, self._proxies.client_of(peer, headers))
            self._open(transport, handshake, unquote(path.removeprefix("/app/")), visit, beyond)

    def _open(
        self, transport: asyncio.Transport, handshake: Handshake, key: str, visit: Visit, beyond: bytes
    ) -> None:
        admitted = self._node.admit(key, visit)
        wire = WebSocketConnection(
            transport,
            outbox_of(self._flusher, transport, deflated=handshake.deflated),
            transports=self._transports,
            max_size=0 if isinstance(admitted, Refusal) else admitted.app.limits.frame_size,
            bounds=self._bounds,
            deflated=handshake.deflated,
        )
        transport.set_protocol(wire)
        self._transports.unlimit(transport)
        wire.write(handshake.answer)
        if isinstance(admitted, Refusal):
            self._node.refuse(admitted, wire)
        else:
            wire.session = self._node.connect(admitted, wire, visit.address)
        if beyond:
            wire.data_received(beyond)

    def _decline(self, transport: asyncio.Transport, response: ApiResponse) -> None:
        transport.write(encode_response(response, keep_alive=False))
        transport.close()
