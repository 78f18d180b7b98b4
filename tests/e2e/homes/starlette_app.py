"""The room in Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broadcaster.contrib.starlette import Broadcasting, SocketMiddleware
from tests.e2e.homes.room import MessageSent, broadcast


async def login(request: Request) -> Response:
    request.session["name"] = (await request.form())["name"]
    return Response(status_code=204)


async def say(request: Request) -> Response:
    text = (await request.form())["text"]
    await broadcast.asend(MessageSent(by=request.session["name"], text=str(text)), to_others=True)
    return Response(status_code=204)


broadcasting = Broadcasting(broadcast, user=lambda request: request.session.get("name"))
app = Starlette(
    routes=[
        *broadcasting.routes,
        Route("/login", login, methods=["POST"]),
        Route("/say", say, methods=["POST"]),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="a secret"), Middleware(SocketMiddleware)],
    lifespan=broadcasting.lifespan,
)
