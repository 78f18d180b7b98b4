"""Broadcasting around any ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from broadcaster.answers import Answer
from broadcaster.auth_requests import MAX_BODY_SIZE, AuthRequest
from broadcaster.context import current_socket
from broadcaster.contrib._endpoints import ENDPOINTS, METHODS, PREFIX, failure, headers_of, wrong_method
from broadcaster.errors import ConfigurationError
from broadcaster.manager import BroadcastManager
from broadcaster.rules.calls import Call

__all__ = ["Broadcasting", "Scope", "SocketMiddleware"]

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_logger = logging.getLogger("broadcaster.contrib")


class SocketMiddleware:
    """Notes which connection each request comes from, so that `to_others=True` leaves it out."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an ASGI application."""
        with current_socket(header(scope, b"x-socket-id") if scope["type"] == "http" else None):
            await self._app(scope, receive, send)


class Broadcasting:
    """Answers Echo's auth requests beneath *prefix*, and hands every other request to *app*.

    *user* gets the scope and returns whom the rules are asked about, None being nobody; unless it is
    async, it runs in a thread. What it or a rule raises is logged and answered with 500. Rules that cannot
    work fail the start of *app*; when it has stopped, the manager is closed.
    """

    def __init__(
        self,
        app: App,
        broadcast: BroadcastManager,
        *,
        user: Callable[[Scope], object],
        prefix: str = PREFIX,
    ) -> None:
        self._app = SocketMiddleware(app)
        self._broadcast = broadcast
        self._user = user
        self._endpoints = {f"{prefix}{path}": sign_in for path, sign_in in ENDPOINTS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an ASGI application."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and (sign_in := self._endpoints.get(_path(scope))) is not None:
            await _respond(await self._answer(scope, receive, sign_in=sign_in), send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, *, sign_in: bool) -> Answer:
        if scope["method"] not in METHODS:
            return wrong_method()
        try:
            request = await auth_request(scope, _chunks(receive))
            call = Call("the function for the user", self._user, (scope,), {})
            user = await call.amade(self._broadcast.to_thread)
            return await self._broadcast.aanswer(request, user, sign_in=sign_in)
        except Exception:
            _logger.exception("an auth request failed")
            return failure()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        unread = [await receive()]

        async def heard() -> Event:
            return unread.pop() if unread else await receive()

        async def said(event: Event) -> None:
            if event["type"].startswith("lifespan.shutdown."):
                await self._broadcast.aclose()
            await send(event)

        # Before the application starts: a server takes an exception for an application without a lifespan.
        try:
            self._broadcast.rules.check()
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await self._app(scope, heard, said)


@asynccontextmanager
async def running(broadcast: BroadcastManager) -> AsyncIterator[None]:
    """Raise `ConfigurationError` for rules that cannot work, and close the manager at the end."""
    broadcast.rules.check()
    async with broadcast:
        yield


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of that lower-case *name*."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


async def auth_request(scope: Scope, chunks: AsyncIterable[bytes]) -> AuthRequest:
    """Read no more of the body than shows that there is too much of it."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_SIZE:
            break
    query = scope["query_string"].decode("latin-1")
    return AuthRequest(query, header(scope, b"content-type") or "", bytes(body))


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        event = await receive()
        yield event.get("body", b"")
        more = event.get("more_body", False)


async def _respond(answer: Answer, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in headers_of(answer).items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _path(scope: Scope) -> str:
    """Return the path beneath where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
