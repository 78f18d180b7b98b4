from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse

from broadcaster import BroadcastManager, ConfigurationError
from broadcaster.context import socket_of_request
from broadcaster.contrib.fastapi import Broadcast, SocketMiddleware, broadcasting_router, manager_of
from broadcaster.server import AsgiServer
from broadcaster.testing import capture
from tests.contrib.homes import HomeContract, asaid, make_broadcast, parts, said, serving_asgi
from tests.contrib.test_starlette import ANN, QUESTION, ClosedDriver, with_impossible_rule
from tests.server.clients import APP
from tests.waits import until


def user_of(x_user: Annotated[str | None, Header()] = None) -> str | None:
    return x_user and x_user.encode("latin-1").decode()


@contextmanager
def browsing(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve *app*, and connect to it."""
    with serving_asgi(app) as url, httpx.Client(base_url=url) as http:
        yield http


def make_app(broadcast: BroadcastManager) -> FastAPI:
    app = FastAPI()
    app.include_router(broadcasting_router(broadcast, user=user_of))
    app.add_middleware(SocketMiddleware)
    return app


class TestBroadcasting(HomeContract):
    asynchronous = True
    says = ("/say", "/asay", "/depend")

    def app(self, broadcast: BroadcastManager) -> FastAPI:
        app = make_app(broadcast)

        @app.post("/say")
        def say(text: str, broadcast: Broadcast) -> None:
            said(broadcast, text)

        @app.post("/asay")
        async def asay(text: str, broadcast: Broadcast) -> None:
            await asaid(broadcast, text)

        def dependency(text: str, broadcast: Broadcast) -> Iterator[None]:
            said(broadcast, text)
            yield

        @app.post("/depend", dependencies=[Depends(dependency)])
        def depend() -> None:
            pass

        @app.get("/stream")
        def stream() -> StreamingResponse:
            return StreamingResponse(parts())

        return app


def test_the_router_brings_its_lifespan_and_the_applications_own_stays(broadcast: BroadcastManager) -> None:
    driver = ClosedDriver()
    broadcast.extend("pusher", lambda **options: driver)
    broadcast.driver()
    lived = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        lived.append("started")
        yield {"answer": 42}
        lived.append("stopped")

    app = FastAPI(lifespan=lifespan)
    app.include_router(broadcasting_router(broadcast, user=user_of))

    @app.get("/")
    def index(broadcast: Broadcast) -> bool:
        return broadcast is not None

    with browsing(app) as http:
        assert http.get("/").json() is True

    assert driver.closed
    assert lived == ["started", "stopped"]


def test_rules_that_cannot_work_fail_the_start(broadcast: BroadcastManager) -> None:
    app = make_app(with_impossible_rule(broadcast))

    with pytest.raises(AssertionError, match="did not start"), browsing(app):
        pytest.fail("it started")


def test_it_goes_with_the_embedded_server() -> None:
    server = AsgiServer([APP])
    broadcast = BroadcastManager.from_dict({"driver": "local"}, server=server)
    broadcast.channel("users.{name}")(lambda user, name: user == name)
    app = FastAPI(lifespan=server.lifespan)
    app.include_router(broadcasting_router(broadcast, user=user_of))
    app.mount("/realtime", server)

    with serving_asgi(app) as url:
        answer = httpx.post(f"{url}/broadcasting/auth", data=QUESTION, headers=ANN)
        up = httpx.get(f"{url}/realtime/up")

    assert answer.json() == {"auth": APP.credentials.channel_auth("1.2", "private-users.ann")}
    assert up.status_code == 200


def test_the_user_is_a_dependency_with_dependencies_of_its_own_that_stay_open(
    broadcast: BroadcastManager,
) -> None:
    order: list[str] = []

    async def session() -> AsyncIterator[str]:
        order.append("opened")
        yield "session"
        order.append("closed")

    def user(name: str, session: str = Depends(session)) -> str:
        return name

    @broadcast.channel("observed")
    def observed(user: str) -> bool:
        order.append(f"asked about {user}")
        return True

    app = FastAPI()
    app.include_router(broadcasting_router(broadcast, user=user))
    with browsing(app) as http:
        answer = http.post(
            "/broadcasting/auth?name=ann", data={"socket_id": "1.2", "channel_name": "private-observed"}
        )

    assert answer.status_code == 200
    assert order == ["opened", "asked about ann", "closed"]


def test_what_the_dependency_raises_is_answered_as_everywhere_else(broadcast: BroadcastManager) -> None:
    def user() -> str:
        raise HTTPException(401, "sign in first")

    app = FastAPI()
    app.include_router(broadcasting_router(broadcast, user=user))
    with browsing(app) as http:
        answer = http.post("/broadcasting/auth", data=QUESTION)

    assert (answer.status_code, answer.json()) == (401, {"detail": "sign in first"})


def test_a_test_may_bring_a_manager_of_its_own(broadcast: BroadcastManager) -> None:
    other = make_broadcast(asynchronous=True)
    app = make_app(broadcast)

    @app.post("/say")
    def say(broadcast: Broadcast) -> None:
        said(broadcast, "hi")

    app.dependency_overrides[manager_of] = lambda: other
    with browsing(app) as http, capture(broadcast) as outbox, capture(other) as others:
        http.post("/say").raise_for_status()

    assert (len(outbox), len(others)) == (0, 1)


async def test_without_a_lifespan_the_manager_is_missed_with_the_remedy(broadcast: BroadcastManager) -> None:
    app = make_app(broadcast)

    @app.get("/")
    def index(broadcast: Broadcast) -> None:
        pass

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        with pytest.raises(ConfigurationError, match="with TestClient"):
            await http.get("/")


def test_the_endpoints_are_no_part_of_the_applications_schema(broadcast: BroadcastManager) -> None:
    assert make_app(broadcast).openapi()["paths"] == {}


def test_the_prefix_can_be_another(broadcast: BroadcastManager) -> None:
    app = FastAPI()
    app.include_router(broadcasting_router(broadcast, user=user_of, prefix="/live"), prefix="/shop")

    with browsing(app) as http:
        assert http.post("/shop/live/auth", data=QUESTION, headers=ANN).status_code == 200


def test_a_background_task_and_a_mounted_application_know_the_sender(broadcast: BroadcastManager) -> None:
    heard: list[str | None] = []
    inner = FastAPI()

    @inner.get("/")
    def index(tasks: BackgroundTasks) -> None:
        heard.append(socket_of_request())
        tasks.add_task(lambda: heard.append(socket_of_request()))

    app = make_app(broadcast)
    app.mount("/inner", inner)
    with serving_asgi(app) as url:
        httpx.get(f"{url}/inner/", headers={"X-Socket-ID": "12.34"})
        until(lambda: len(heard) == 2)

    assert heard == ["12.34", "12.34"]
