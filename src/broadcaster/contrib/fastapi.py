"""Broadcasting in FastAPI applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Request, Response
from fastapi.requests import HTTPConnection

from broadcaster.contrib._endpoints import ENDPOINTS, METHODS, PREFIX
from broadcaster.contrib.asgi import SocketMiddleware, running
from broadcaster.contrib.starlette import answer
from broadcaster.errors import ConfigurationError
from broadcaster.manager import BroadcastManager

__all__ = ["Broadcast", "SocketMiddleware", "broadcasting_router", "manager_of"]

_STATE = "broadcast"


def broadcasting_router(
    broadcast: BroadcastManager, *, user: Callable[..., Any], prefix: str = PREFIX
) -> APIRouter:
    """Return the router that answers Echo; include it in an application.

    *user* is a dependency: what it gives is whom the rules are asked about, None being nobody, and what it
    raises is answered as everywhere else. The router brings its part of the lifespan along: rules that
    cannot work fail the start, and the end closes the manager.
    """

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[Mapping[str, Any]]:
        async with running(broadcast):
            yield {_STATE: broadcast}

    router = APIRouter(prefix=prefix, lifespan=lifespan, include_in_schema=False)
    for path, sign_in in ENDPOINTS.items():
        router.add_api_route(path, _endpoint(broadcast, user, sign_in=sign_in), methods=[*METHODS])
    return router


def manager_of(connection: HTTPConnection) -> BroadcastManager:
    """Be the dependency that gives the manager whose router the application includes.

    Raises `ConfigurationError` where the application has not been started, as in tests without a lifespan.
    """
    found: BroadcastManager | None = getattr(connection.state, _STATE, None)
    if found is None:
        raise ConfigurationError(
            "the application has no manager: include broadcasting_router(), and start the application with "
            "its lifespan; in a test that is `with TestClient(app)`"
        )
    return found


Broadcast: TypeAlias = Annotated[BroadcastManager, Depends(manager_of)]
"""The manager, as a parameter of an endpoint or of a dependency."""


def _endpoint(
    broadcast: BroadcastManager, user: Callable[..., Any], *, sign_in: bool
) -> Callable[..., Awaitable[Response]]:
    async def endpoint(request: Request, user: Any = Depends(user)) -> Response:  # noqa: B008
        return await answer(broadcast, request, user, sign_in=sign_in)

    return endpoint
