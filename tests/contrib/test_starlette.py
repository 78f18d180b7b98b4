from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from broadcaster import BroadcastManager, ConfigurationError, Member
from broadcaster.context import socket_of_request
from broadcaster.contrib.starlette import Broadcasting, SocketMiddleware
from broadcaster.drivers.null import NullDriver
from broadcaster.server import AsgiServer
from tests.contrib.homes import HomeContract, asaid, parts, said, serving_asgi
from tests.server.clients import APP, SECONDS
from tests.waits import until

QUESTION = {"socket_id": "1.2", "channel_name": "private-users.ann"}
ANN = {"X-User": "ann"}


def user_of(request: Request) -> str | None:
    name = request.headers.get("x-user")
    return name and name.encode("latin-1").decode()


def make_app(broadcast: BroadcastManager, *routes: Any, **options: Any) -> Starlette:
    broadcasting = Broadcasting(broadcast, user=user_of)
    options = {"lifespan": broadcasting.lifespan, **options}
    middleware = [Middleware(SocketMiddleware)]
    return Starlette(routes=[*broadcasting.routes, *routes], middleware=middleware, **options)


class TestBroadcasting(HomeContract):
    asynchronous = True
    says = ("/say", "/asay", "/later")

    def app(self, broadcast: BroadcastManager) -> Starlette:
        def say(request: Request) -> Response:
            said(broadcast, request.query_params["text"])
            return PlainTextResponse("said")

        async def asay(request: Request) -> Response:
            await asaid(broadcast, request.query_params["text"])
            return PlainTextResponse("said")

        async def later(request: Request) -> Response:
            # Before the response ends, so that the next request comes after it.
            task = BackgroundTask(said, broadcast, request.query_params["text"])
            return StreamingResponse(ran(task))

        async def ran(task: BackgroundTask) -> AsyncIterator[bytes]:
            await task()
            yield b"said"

        def stream(request: Request) -> Response:
            return StreamingResponse(parts())

        return make_app(
            broadcast,
            Route("/say", say, methods=["POST"]),
            Route("/asay", asay, methods=["POST"]),
            Route("/later", later, methods=["POST"]),
            Route("/stream", stream),
        )


class ClosedDriver(NullDriver):
    """A driver that tells whether it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


def test_the_end_of_the_application_closes_the_manager(broadcast: BroadcastManager) -> None:
    driver = ClosedDriver()
    broadcast.extend("pusher", lambda **options: driver)
    broadcast.driver()

    with serving_asgi(make_app(broadcast)):
        assert not driver.closed

    assert driver.closed


def with_impossible_rule(broadcast: BroadcastManager) -> BroadcastManager:
    @broadcast.channel("orders.{member}")
    def may_see(user: object, member: Member) -> bool:
        return True

    return broadcast


def test_rules_that_cannot_work_fail_the_start(broadcast: BroadcastManager) -> None:
    app = make_app(with_impossible_rule(broadcast))

    with pytest.raises(AssertionError, match="did not start"), serving_asgi(app):
        pytest.fail("it started")


async def test_it_runs_inside_a_lifespan_that_does_more() -> None:
    server = AsgiServer([APP])
    broadcast = BroadcastManager.from_dict({"driver": "local"}, server=server)
    broadcast.channel("users.{name}")(lambda user, name: user == name)
    broadcasting = Broadcasting(broadcast, user=user_of)

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with server.running(), broadcasting.running():
            yield

    app = Starlette(routes=[*broadcasting.routes, Mount("/", server)], lifespan=lifespan)
    with serving_asgi(app) as url:
        answer = await asyncio.to_thread(
            httpx.post, f"{url}/broadcasting/auth", data=QUESTION, headers=ANN, timeout=SECONDS
        )
        up = await asyncio.to_thread(httpx.get, f"{url}/up")

    assert answer.json() == {"auth": APP.credentials.channel_auth("1.2", "private-users.ann")}
    assert up.status_code == 200


async def test_rules_that_cannot_work_are_told_there_too(broadcast: BroadcastManager) -> None:
    broadcasting = Broadcasting(with_impossible_rule(broadcast), user=user_of)

    with pytest.raises(ConfigurationError, match="Member"):
        await broadcasting.running().__aenter__()


def test_the_prefix_can_be_another_and_the_routes_have_names(broadcast: BroadcastManager) -> None:
    broadcasting = Broadcasting(broadcast, user=user_of, prefix="/live")
    app = Starlette(routes=[Mount("/shop", routes=broadcasting.routes, name="shop")])

    with serving_asgi(app) as url:
        answer = httpx.post(f"{url}/shop/live/auth", data=QUESTION, headers=ANN)

    assert answer.status_code == 200
    assert app.url_path_for("shop:user-auth") == "/shop/live/user-auth"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_function_for_the_user_may_be_async_and_what_it_raises_is_the_applications(
    broadcast: BroadcastManager, asynchronous: bool
) -> None:
    def plain(request: Request) -> str:
        raise ConnectionError("no database")

    async def waiting(request: Request) -> str:
        raise ConnectionError("no database")

    def unavailable(request: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 503)

    broadcasting = Broadcasting(broadcast, user=waiting if asynchronous else plain)
    handlers: Any = {ConnectionError: unavailable}
    with serving_asgi(Starlette(routes=broadcasting.routes, exception_handlers=handlers)) as url:
        answer = httpx.post(f"{url}/broadcasting/auth", data=QUESTION)

    assert (answer.status_code, answer.text) == (503, "no database")


def test_a_background_task_knows_the_sender(broadcast: BroadcastManager) -> None:
    heard: list[str | None] = []

    def work() -> None:
        heard.append(socket_of_request())

    def endpoint(request: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(work))

    with serving_asgi(make_app(broadcast, Route("/", endpoint))) as url:
        httpx.get(url, headers={"X-Socket-ID": "12.34"})
        until(lambda: bool(heard))

    assert heard == ["12.34"]
