"""The server as an ASGI application, for mounting inside FastAPI, Starlette or Django."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from broadcaster.cluster.group import Group
from broadcaster.errors import ConfigurationError
from broadcaster.messages import Message
from broadcaster.protocol.api import ApiRequest, ApiResponse
from broadcaster.protocol.handshake import Refusal, Visit
from broadcaster.server.apps import Apps
from broadcaster.server.bounds import Bounds
from broadcaster.server.node import Node
from broadcaster.server.query import parse_query, read_params
from broadcaster.server.routes import Routes
from broadcaster.server.session import Session
from broadcaster.signing import Credentials

__all__ = ["AsgiServer"]

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]


class AsgiServer:
    """Serves *apps* wherever it is mounted; it satisfies the `local` driver.

    A mounted application gets no lifespan of its own, so the outer one has to start it:
    `FastAPI(lifespan=server.lifespan)`, or `async with server.running():` inside a lifespan that does
    more. On its own, under an ASGI server, it starts by itself. Silent peers are the ASGI server's to find
    (uvicorn: `--ws-ping-interval`). *webhook_buffer* is a file in which webhooks wait. Other nodes are in
    the *group*. Of *bounds* the ASGI server has its own but for the size of a body and of what is unread.
    """

    def __init__(
        self,
        apps: Apps,
        *,
        bounds: Bounds | None = None,
        webhook_buffer: Path | None = None,
        group: Group | None = None,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._node = Node(apps, encode=str, webhook_buffer=webhook_buffer, group=group)
        self._routes = Routes(self._node)

    @property
    def connection_count(self) -> int:
        """How many WebSocket connections are open."""
        return self._node.connection_count

    @property
    def credentials(self) -> Credentials:
        """The key and the secret of the first application, which `publish()` publishes for."""
        return self._node.credentials

    async def reload(self) -> None:
        """Find the applications anew; see `Node.reload()`."""
        await self._node.areload()

    def publish(self, message: Message) -> Future[None]:
        """Push *message* to its subscribers; callable from any thread."""
        return self._node.publish(message)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run on the current event loop; at the end every connection is closed with 4100.

        An ASGI server may have closed them before: uvicorn does, with 1012. Clients come back from both.
        """
        self._node.open()
        try:
            yield
        finally:
            self._node.close()
            await self._node.finish(self._bounds.close_seconds)

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Be the lifespan of *app*."""
        async with self.running():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an ASGI application; raise `ConfigurationError` when nothing has started it."""
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "http":
                self._check_running()
                await self._answer(scope, receive, send)
            case "websocket":
                self._check_running()
                await self._talk(scope, receive, send)

    def _check_running(self) -> None:
        if not self._node.is_open:
            raise ConfigurationError(
                "the mounted AsgiServer is not running: pass lifespan=server.lifespan to the application "
                "it is mounted in, or enter server.running() in that application's own lifespan"
            )

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive, self._bounds.body_size)
        if body is None:
            response = ApiResponse(413, f"the body is larger than {self._bounds.body_size} bytes")
        else:
            response = await self._respond(scope, body)
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body.encode()})

    async def _respond(self, scope: Scope, body: bytes) -> ApiResponse:
        try:
            query = parse_query(scope["query_string"].decode("latin-1"))
        except ValueError:
            return ApiResponse(400, "the query cannot be read")
        headers = scope["headers"]
        ids = b", ".join(value for name, value in headers if name == b"x-idempotency-key").decode("latin-1")
        request = ApiRequest(scope["method"], _path(scope), query, body, ids, headers)
        answered = self._routes.answer(request)
        return answered if isinstance(answered, ApiResponse) else await answered

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        path = _path(scope)
        if not path.startswith("/app/") or self._node.draining:
            # Before it is accepted, closing refuses the handshake itself, with an HTTP status.
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        wire = AsgiWire(send, self._bounds.outbox_size)
        try:
            await self._converse(path, scope, receive, wire)
        finally:
            await wire.end()

    async def _converse(self, path: str, scope: Scope, receive: Receive, wire: AsgiWire) -> None:
        admitted = self._node.admit(unquote(path.removeprefix("/app/")), visit := _visit(scope))
        if isinstance(admitted, Refusal):
            self._node.refuse(admitted, wire)
            await asyncio.wait({wire.writer}, timeout=self._bounds.close_seconds)
            return
        session, code = self._node.connect(admitted, wire, visit.address), None
        try:
            code = await self._listen(receive, session, wire, admitted.app.limits.frame_size)
        finally:
            if wire.overflowed:
                session.cut_off()
            session.closed(wire.close_code or code or 1006)

    async def _listen(
        self, receive: Receive, session: Session, wire: AsgiWire, frame_size: int
    ) -> int | None:
        """Hand text to the hub until either side ends the connection; return the client's close code."""
        while (event := await _next(receive, wire.writer)) is not None:
            text = event.get("text")
            if event["type"] == "websocket.disconnect":
                return int(event.get("code") or 1005)
            if text is not None and len(text.encode()) <= frame_size:
                session.received(text)
                continue
            if text is None:
                wire.hang_up(1003, "only text frames are understood")
            else:
                wire.hang_up(1009, f"a frame is larger than {frame_size} bytes")
            session.closed(wire.close_code or 1006)
        return None


class AsgiWire:
    """The hub's wire over an ASGI server: frames wait in a bounded outbox for one writing task."""

    deflated = False  # that is between the ASGI server and the client

    def __init__(self, send: Send, outbox_size: int) -> None:
        self._most = outbox_size
        self.overflowed = False
        self._outbox: deque[str] = deque()
        self._size = 0
        self._goodbye: tuple[int, str] | None = None
        self._ready = asyncio.Event()
        self.writer = asyncio.create_task(self._write_all(send), name="broadcaster-writer")

    @property
    def close_code(self) -> int | None:
        """What it was hung up with; None as long as it is not."""
        return None if self._goodbye is None else self._goodbye[0]

    def write(self, payload: str) -> None:
        """Queue one frame; a peer that leaves too much unread is cut off."""
        if self.overflowed:
            return
        self._outbox.append(payload)
        self._size += len(payload)
        if self._size > self._most:
            self.overflowed = True
            # The task may be waiting for a peer that never reads again.
            self.writer.cancel()
        self._ready.set()

    def probe(self) -> None:
        """Do nothing: ASGI has no control frames."""

    def hang_up(self, code: int, reason: str) -> None:
        """Close, after what is queued."""
        self._goodbye = (code, reason)
        self._ready.set()

    async def end(self) -> None:
        """Stop writing."""
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)

    async def _write_all(self, send: Send) -> None:
        """Send what is queued until the connection is to be closed."""
        while self._goodbye is None or self._outbox:
            await self._ready.wait()
            self._ready.clear()
            while self._outbox:
                payload = self._outbox.popleft()
                await send({"type": "websocket.send", "text": payload})
                self._size -= len(payload)
        code, reason = self._goodbye
        await send({"type": "websocket.close", "code": code, "reason": reason})


async def _next(receive: Receive, writer: asyncio.Task[None]) -> Event | None:
    """Return what comes in next, or None when *writer* ends first."""
    incoming = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({incoming, writer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if still_waits := incoming.cancel():
            await asyncio.gather(incoming, return_exceptions=True)
    return None if still_waits else incoming.result()


async def _read_body(receive: Receive, most: int) -> bytes | None:
    body = bytearray()
    more = True
    while more:
        event = await receive()
        body += event.get("body", b"")
        if len(body) > most:
            return None
        more = event.get("more_body", False)
    return bytes(body)


def _visit(scope: Scope) -> Visit:
    params = read_params(scope["query_string"].decode("latin-1"))
    origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
    return Visit(params, origin, scope["client"][0] if scope.get("client") else "")


def _path(scope: Scope) -> str:
    """Return the path below the mount point, as the client wrote and signed it."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"])
    root = scope.get("root_path", "")
    return path.removeprefix(quote(root)) if root else path
