"""Broadcasting in Litestar applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from litestar import Request, Response, route
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import InitPluginProtocol

from broadcaster.contrib._endpoints import ENDPOINTS, METHODS, PREFIX
from broadcaster.contrib.asgi import Scope, SocketMiddleware, auth_request, running
from broadcaster.manager import BroadcastManager
from broadcaster.rules.calls import Call

__all__ = ["BroadcastingPlugin"]

_AnyRequest: TypeAlias = Request[Any, Any, State]


def _authenticated(request: _AnyRequest) -> object:
    """Return the user that a middleware found, or None."""
    return request.scope.get("user")


class BroadcastingPlugin(InitPluginProtocol):
    """Gives *broadcast* to an application, and answers Echo there beneath *prefix*.

    *user* gets the request and returns whom the rules are asked about, None being nobody; unless it is
    async, it runs in a thread. Without one it is the user that an authentication middleware found. Handlers
    get the manager as their parameter `broadcast`. Rules that cannot work fail the start; the end closes
    the manager.
    """

    def __init__(
        self,
        broadcast: BroadcastManager,
        *,
        user: Callable[[_AnyRequest], object] = _authenticated,
        prefix: str = PREFIX,
    ) -> None:
        self._broadcast = broadcast
        self._user = user
        self._prefix = prefix

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Be a plugin of Litestar."""
        app_config.lifespan.append(lambda _app: running(self._broadcast))
        app_config.middleware.insert(0, cast("Any", SocketMiddleware))
        # An application may have a dependency of that name already.
        app_config.dependencies.setdefault(
            "broadcast", Provide(lambda: self._broadcast, sync_to_thread=False)
        )
        app_config.route_handlers.extend(
            self._handler(path, sign_in=sign_in) for path, sign_in in ENDPOINTS.items()
        )
        return app_config

    def _handler(self, path: str, *, sign_in: bool) -> HTTPRouteHandler:
        decorate = route(f"{self._prefix}{path}", http_method=[*METHODS], include_in_schema=False)
        return decorate(self._endpoint(sign_in=sign_in))

    def _endpoint(self, *, sign_in: bool) -> Callable[[_AnyRequest], Awaitable[Response[bytes]]]:
        async def endpoint(request: Request[Any, Any, State]) -> Response[bytes]:
            asked = await auth_request(cast("Scope", request.scope), request.stream())
            call = Call("the function for the user", self._user, (request,), {})
            user = await call.amade(self._broadcast.to_thread)
            answer = await self._broadcast.aanswer(asked, user, sign_in=sign_in)
            headers = dict(answer.headers)
            return Response(
                answer.body,
                status_code=answer.status,
                media_type=headers.pop("Content-Type"),
                headers=headers,
            )

        return endpoint
