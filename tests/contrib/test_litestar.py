from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, Response, asgi, get, post
from litestar.background_tasks import BackgroundTask
from litestar.config.csrf import CSRFConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.response import Stream
from litestar.types import Receive, Scope, Send

from broadcaster import BroadcastManager
from broadcaster.context import socket_of_request
from broadcaster.contrib.litestar import BroadcastingPlugin
from broadcaster.testing import capture
from tests.contrib.homes import HomeContract, asaid, make_broadcast, parts, said, serving_asgi
from tests.contrib.test_starlette import ANN, QUESTION, ClosedDriver, with_impossible_rule
from tests.waits import until

AnyRequest = Request[Any, Any, Any]


def user_of(request: AnyRequest) -> str | None:
    name = request.headers.get("x-user")
    return name and name.encode("latin-1").decode()


@contextmanager
def browsing(app: Litestar) -> Iterator[httpx.Client]:
    """Serve *app*, and connect to it."""
    with serving_asgi(app) as url, httpx.Client(base_url=url) as http:
        yield http


class TestBroadcasting(HomeContract):
    asynchronous = True
    says = ("/say", "/asay")

    def app(self, broadcast: BroadcastManager) -> Litestar:
        @post("/say", sync_to_thread=True)
        def say(request: AnyRequest) -> None:
            said(broadcast, request.query_params["text"])

        @post("/asay")
        async def asay(request: AnyRequest) -> None:
            await asaid(broadcast, request.query_params["text"])

        @get("/stream")
        async def stream() -> Stream:
            return Stream(parts())

        return Litestar([say, asay, stream], plugins=[BroadcastingPlugin(broadcast, user=user_of)])


def test_the_end_of_the_application_closes_the_manager(broadcast: BroadcastManager) -> None:
    driver = ClosedDriver()
    broadcast.extend("pusher", lambda **options: driver)
    broadcast.driver()

    with browsing(Litestar(plugins=[BroadcastingPlugin(broadcast)])):
        pass

    assert driver.closed


def test_rules_that_cannot_work_fail_the_start(broadcast: BroadcastManager) -> None:
    app = Litestar(plugins=[BroadcastingPlugin(with_impossible_rule(broadcast))])

    with pytest.raises(AssertionError, match="did not start"), browsing(app):
        pytest.fail("it started")


class ByHeader(AbstractAuthenticationMiddleware):
    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        name = connection.headers.get("x-user")
        if name == "nobody":
            raise NotAuthorizedException
        return AuthenticationResult(user=name, auth=None)


def test_the_user_is_the_one_that_a_middleware_found(broadcast: BroadcastManager) -> None:
    app = Litestar(plugins=[BroadcastingPlugin(broadcast)], middleware=[ByHeader])

    with browsing(app) as http:
        answers = [
            http.post("/broadcasting/auth", data=QUESTION, headers=headers)
            for headers in (ANN, {}, {"X-User": "nobody"})
        ]

    assert [answer.status_code for answer in answers] == [200, 403, 401]


def test_without_such_a_middleware_everybody_is_nobody(broadcast: BroadcastManager) -> None:
    with browsing(Litestar(plugins=[BroadcastingPlugin(broadcast)])) as http:
        assert http.post("/broadcasting/auth", data=QUESTION, headers=ANN).status_code == 403


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_the_function_for_the_user_raises_is_the_applications(
    broadcast: BroadcastManager, asynchronous: bool
) -> None:
    def plain(request: AnyRequest) -> str:
        raise ConnectionError("no database")

    async def waiting(request: AnyRequest) -> str:
        raise ConnectionError("no database")

    def unavailable(request: AnyRequest, error: Exception) -> Response[str]:
        return Response(str(error), status_code=503, media_type="text/plain")

    plugin = BroadcastingPlugin(broadcast, user=waiting if asynchronous else plain)
    app = Litestar(plugins=[plugin], exception_handlers={ConnectionError: unavailable})
    with browsing(app) as http:
        answer = http.post("/broadcasting/auth", data=QUESTION)

    assert (answer.status_code, answer.text) == (503, "no database")


def test_handlers_get_the_manager_unless_the_application_has_its_own(broadcast: BroadcastManager) -> None:
    other = make_broadcast(asynchronous=True)

    @post("/say", sync_to_thread=True)
    def say(broadcast: NamedDependency[BroadcastManager]) -> None:
        said(broadcast, "hi")

    plugin = BroadcastingPlugin(broadcast)
    own = {"broadcast": Provide(lambda: other, sync_to_thread=False)}
    with capture(broadcast) as outbox, capture(other) as others:
        for dependencies in ({}, own):
            with browsing(Litestar([say], plugins=[plugin], dependencies=dependencies)) as http:
                http.post("/say").raise_for_status()

    assert (len(outbox), len(others)) == (1, 1)


def test_the_token_of_litestar_is_taken_by_the_name_that_echo_gives_it(broadcast: BroadcastManager) -> None:
    csrf = CSRFConfig(secret="secret", header_name="x-csrf-token")

    @get("/page")
    async def page() -> str:
        return ""

    app = Litestar([page], plugins=[BroadcastingPlugin(broadcast, user=user_of)], csrf_config=csrf)
    with browsing(app) as http:
        http.get("/page")
        token = {"X-CSRF-TOKEN": http.cookies["csrftoken"]}
        answers = [
            http.post("/broadcasting/auth", data=QUESTION, headers=ANN | token),
            http.post(
                "/broadcasting/auth", data=QUESTION | {"_csrf_token": token["X-CSRF-TOKEN"]}, headers=ANN
            ),
            http.post("/broadcasting/auth", data=QUESTION, headers=ANN),
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert "CSRF" in answers[-1].text


def test_the_prefix_can_be_another(broadcast: BroadcastManager) -> None:
    app = Litestar(plugins=[BroadcastingPlugin(broadcast, user=user_of, prefix="/live")], path="/shop")

    with browsing(app) as http:
        assert http.post("/shop/live/auth", data=QUESTION, headers=ANN).status_code == 200


def test_the_endpoints_are_no_part_of_the_applications_schema(broadcast: BroadcastManager) -> None:
    app = Litestar(plugins=[BroadcastingPlugin(broadcast)])

    assert not app.openapi_schema.paths


def test_a_background_task_and_a_mounted_application_know_the_sender(broadcast: BroadcastManager) -> None:
    heard: list[str | None] = []

    def work() -> None:
        heard.append(socket_of_request())

    @get("/")
    async def index() -> Response[str]:
        return Response("ok", background=BackgroundTask(work))

    @asgi("/inner", is_mount=True, copy_scope=True)
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        work()
        await Response("ok").to_asgi_response(app, Request(scope))(scope, receive, send)

    app = Litestar([index, inner], plugins=[BroadcastingPlugin(broadcast)])
    with browsing(app) as http:
        for path in ("/", "/inner"):
            http.get(path, headers={"X-Socket-ID": "12.34"})
        until(lambda: len(heard) == 2)

    assert heard == ["12.34", "12.34"]
