import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from broadcaster import AnonymousEvent, BroadcastManager, ConfigurationError, DeliveryError, Settings
from broadcaster.protocol.limits import Limits
from broadcaster.server import AsgiServer
from broadcaster.server.asgi import Event
from tests.server.clients import APP, SECONDS, Client, call, client, flood_until_one_is_left, plain
from tests.waits import until


@contextmanager
def serving(application: object) -> Iterator[int]:
    """Run *application* under a real uvicorn; the value is its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, ws="websockets-sansio", log_level="critical")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        listener.close()


@pytest.fixture
def server() -> AsgiServer:
    return AsgiServer([APP])


@pytest.fixture
def port(server: AsgiServer) -> Iterator[int]:
    """The port of an application that has the server mounted at its root, below a route of its own."""
    broadcast = BroadcastManager(Settings(default="local"), server=server)

    async def say(request: Request) -> PlainTextResponse:
        await broadcast.asend(AnonymousEvent("Said", on="chat", data={"text": "hi"}))
        return PlainTextResponse("said")

    def say_from_a_thread(request: Request) -> PlainTextResponse:
        broadcast.send(AnonymousEvent("Said", on="chat", data={"text": "from a thread"}))
        return PlainTextResponse("said")

    routes = [
        Route("/say", say, methods=["POST"]),
        Route("/thread", say_from_a_thread, methods=["POST"]),
        Mount("/", server),
    ]
    with serving(Starlette(routes=routes, lifespan=server.lifespan)) as number:
        yield number


def test_an_event_of_the_application_reaches_a_browser_connected_to_it(port: int) -> None:
    with client(port) as browser:
        browser.subscribe("chat")

        assert plain(port, "POST", "/say").body == "said"
        assert browser.receive() == {"event": "Said", "channel": "chat", "data": '{"text":"hi"}'}


def test_an_event_sent_in_a_worker_thread_reaches_a_browser(port: int) -> None:
    with client(port) as browser:
        browser.subscribe("chat")

        plain(port, "POST", "/thread")

        assert json.loads(browser.receive()["data"]) == {"text": "from a thread"}


def test_the_http_api_works_as_on_a_server_of_its_own(port: int) -> None:
    with client(port) as browser:
        browser.subscribe("private-a")

        answer = call(port, "POST", "/apps/3/events", {"name": "e", "channel": "private-a", "data": "{}"})

        assert (answer.status, browser.receive()["event"]) == (200, "e")
    assert call(port, "GET", "/apps/3/channels/private-a").status == 200
    assert plain(port, "GET", "/apps/3/channels").status == 401
    assert plain(port, "POST", "/apps/3/events", b"x" * 1_100_000).status == 413


def test_a_call_that_is_made_again_is_pushed_once(port: int) -> None:
    event = {"name": "news", "channels": ["a"], "data": "{}"}
    with client(port) as browser:
        browser.subscribe("a")

        for ids in ("one", "one", "two"):
            assert call(port, "POST", "/apps/3/events", event, ids=ids).status == 200

        assert [browser.receive()["event"] for _ in range(2)] == ["news", "news"]
        assert browser.is_alive()


def test_below_a_mount_point_the_signed_path_has_no_prefix(server: AsgiServer) -> None:
    application = Starlette(routes=[Mount("/ws", server)], lifespan=server.lifespan)
    with (
        serving(application) as port,
        connect(f"ws://127.0.0.1:{port}/ws/app/{APP.key}?protocol=7") as socket_,
    ):
        Client(socket_).subscribe("presence-a", user_id="ann")

        answer = call(port, "GET", "/apps/3/channels/presence-a/users", below="/ws")

    assert answer.json == {"users": [{"id": "ann"}]}


def test_presence_is_told_of_a_connection_that_just_drops(port: int) -> None:
    with client(port) as stays:
        stays.subscribe("presence-room", user_id="ann")
        with client(port) as leaves:
            leaves.subscribe("presence-room", user_id="bob")
            assert stays.receive()["event"] == "pusher_internal:member_added"
            leaves.socket.socket.shutdown(socket.SHUT_RDWR)
            assert stays.receive()["event"] == "pusher_internal:member_removed"


def test_a_refused_connection_gets_an_error_frame_and_the_same_close_code(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/app/nobody?protocol=7") as browser:
        error = json.loads(browser.recv(timeout=SECONDS))
        with pytest.raises(ConnectionClosed) as closed:
            browser.recv(timeout=SECONDS)

    assert error["data"]["code"] == 4001
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001


def test_a_page_of_another_origin_is_4009_and_one_address_has_its_limit() -> None:
    app = replace(APP, origins=("https://example.com",), limits=Limits(connections_per_address=1))
    with serving(AsgiServer([app])) as port, client(port, origin="https://example.com"):
        codes = []
        for origin in ("https://evil.test", "https://example.com"):
            url = f"ws://127.0.0.1:{port}/app/{APP.key}?protocol=7"
            with connect(url, origin=Origin(origin)) as refused:
                codes.append(json.loads(refused.recv(timeout=SECONDS))["data"]["code"])

    assert codes == [4009, 4100]


def test_a_websocket_elsewhere_than_under_app_is_refused(port: int) -> None:
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{port}/chat"):
        pass


def test_a_reader_that_stops_reading_is_cut_off_and_the_others_get_everything(
    server: AsgiServer, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    flood_until_one_is_left(server, port)

    assert "cut off: it reads too slowly" in caplog.text


async def test_a_mounted_server_that_nobody_started_says_what_to_do(server: AsgiServer) -> None:
    async def receive() -> Event:
        return {"type": "http.request"}

    async def send(event: Event) -> None:
        raise AssertionError("nothing may be answered")

    for kind in ("http", "websocket"):
        with pytest.raises(ConfigurationError, match=r"lifespan=server\.lifespan"):
            await server({"type": kind}, receive, send)


def test_publishing_before_the_start_says_that_the_server_is_not_running(server: AsgiServer) -> None:
    broadcast = BroadcastManager(Settings(default="local"), server=server)

    with pytest.raises(DeliveryError, match="is not running"):
        broadcast.send(AnonymousEvent("e", on="chat"))


def test_on_its_own_the_server_starts_by_the_lifespan_of_the_asgi_server(server: AsgiServer) -> None:
    with serving(server) as port, client(port) as browser:
        assert browser.is_alive()


def test_it_runs_inside_a_lifespan_that_does_more(server: AsgiServer) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with server.running():
            yield

    application = Starlette(routes=[Mount("/", server)], lifespan=lifespan)
    with serving(application) as port, client(port) as browser:
        assert browser.is_alive()


async def test_a_conversation_that_is_cancelled_leaves_no_task_behind(server: AsgiServer) -> None:
    incoming: asyncio.Queue[Event] = asyncio.Queue()
    outgoing: asyncio.Queue[Event] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": f"/app/{APP.key}", "query_string": b"protocol=7", "headers": []}
    async with server.running(), asyncio.timeout(SECONDS):
        conversation = asyncio.create_task(server(scope, incoming.get, outgoing.put))
        while (await outgoing.get())["type"] != "websocket.send":
            pass

        conversation.cancel()
        await asyncio.gather(conversation, return_exceptions=True)

        assert conversation.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert server.connection_count == 0


@pytest.mark.parametrize(
    ("frame", "code"), [(b"{}", 1003), ("x" * 70_000, 1009)], ids=["binary", "too large"]
)
def test_a_frame_that_breaks_the_rules_closes_with_the_code_that_says_so(
    port: int, frame: str | bytes, code: int
) -> None:
    with client(port) as browser:
        browser.socket.send(frame)

        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
