"""Broadcasting in Starlette applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broadcaster.contrib._endpoints import ENDPOINTS, METHODS, PREFIX
from broadcaster.contrib.asgi import SocketMiddleware, auth_request, running
from broadcaster.manager import BroadcastManager
from broadcaster.rules.calls import Call

__all__ = ["Broadcasting", "SocketMiddleware", "answer"]


class Broadcasting:
    """The routes that answer Echo beneath *prefix*, and the lifespan that goes with them.

    *user* gets the request and returns whom the rules are asked about, None being nobody; unless it is
    async, it runs in a thread. What it or a rule raises is left to the application.
    """

    def __init__(
        self, broadcast: BroadcastManager, *, user: Callable[[Request], object], prefix: str = PREFIX
    ) -> None:
        self._broadcast = broadcast
        self._user = user
        self.routes = [
            Route(f"{prefix}{path}", self._endpoint(sign_in=sign_in), methods=METHODS, name=path.strip("/"))
            for path, sign_in in ENDPOINTS.items()
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Raise `ConfigurationError` for rules that cannot work, and close the manager at the end."""
        async with running(self._broadcast):
            yield

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Be the lifespan of *app*."""
        async with self.running():
            yield

    def _endpoint(self, *, sign_in: bool) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            call = Call("the function for the user", self._user, (request,), {})
            user = await call.amade(self._broadcast.to_thread)
            return await answer(self._broadcast, request, user, sign_in=sign_in)

        return endpoint


async def answer(broadcast: BroadcastManager, request: Request, user: object, *, sign_in: bool) -> Response:
    """Return the response to what Echo asks, in the name of *user*."""
    asked = await auth_request(request.scope, request.stream())
    found = await broadcast.aanswer(asked, user, sign_in=sign_in)
    return Response(found.body, found.status, dict(found.headers))
