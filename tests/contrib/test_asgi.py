import asyncio
from typing import Any
from urllib.parse import parse_qs

import pytest

from broadcaster import BroadcastManager, ConfigurationError, Member
from broadcaster.context import socket_of_request
from broadcaster.contrib.asgi import Broadcasting, Scope, SocketMiddleware, header, running
from broadcaster.drivers.null import NullDriver
from tests.contrib.homes import HomeContract, asaid, parts, said, serving_asgi


def user_of(scope: Scope) -> str | None:
    name = header(scope, b"x-user")
    return name and name.encode("latin-1").decode()


class TestBroadcasting(HomeContract):
    asynchronous = True
    says = ("/say", "/asay")

    def app(self, broadcast: BroadcastManager) -> Broadcasting:
        async def shop(scope: Scope, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await live(receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            text = parse_qs(scope["query_string"].decode()).get("text", [""])[0]
            match scope["path"]:
                case "/stream":
                    for part in parts():
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                case "/say":
                    await asyncio.to_thread(said, broadcast, text)
                case "/asay":
                    await asaid(broadcast, text)
            await send({"type": "http.response.body"})

        return Broadcasting(shop, broadcast, user=user_of)


class ClosedDriver(NullDriver):
    """A driver that tells whether it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def live(receive: Any, send: Any) -> None:
    for _ in range(2):
        event = await receive()
        await send({"type": f"{event['type']}.complete"})


def with_impossible_rule(broadcast: BroadcastManager) -> BroadcastManager:
    @broadcast.channel("orders.{member}")
    def may_see(user: object, member: Member) -> bool:
        return True

    return broadcast


async def lived(app: Any) -> list[dict[str, Any]]:
    """Return what *app* says from its start to its end."""
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    heard = []

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def send(event: dict[str, Any]) -> None:
        heard.append(event)

    await app({"type": "lifespan"}, receive, send)
    return heard


async def called(app: Any, *chunks: bytes, **scope: Any) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a body that comes in *chunks*."""
    events = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]
    heard: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        heard.append(event)

    usual = {
        "type": "http",
        "method": "POST",
        "path": "/broadcasting/auth",
        "query_string": b"",
        "headers": [],
    }
    await app({**usual, **scope}, receive, send)
    return heard[0]["status"], heard[1]["body"]


async def shop(scope: Scope, receive: Any, send: Any) -> None:
    await live(receive, send)


async def test_the_manager_is_closed_when_the_application_has_stopped(broadcast: BroadcastManager) -> None:
    driver = ClosedDriver()
    broadcast.extend("pusher", lambda **options: driver)
    broadcast.driver()

    heard = await lived(Broadcasting(shop, broadcast, user=user_of))

    assert [event["type"] for event in heard] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert driver.closed


async def test_rules_that_cannot_work_fail_the_start(broadcast: BroadcastManager) -> None:
    heard = await lived(Broadcasting(shop, with_impossible_rule(broadcast), user=user_of))

    assert [event["type"] for event in heard] == ["lifespan.startup.failed"]
    assert "Member" in heard[0]["message"]


def test_a_server_does_not_start_with_rules_that_cannot_work(broadcast: BroadcastManager) -> None:
    app = Broadcasting(shop, with_impossible_rule(broadcast), user=user_of)

    with pytest.raises(AssertionError, match="did not start"), serving_asgi(app):
        pytest.fail("it started")


async def test_a_lifespan_of_ones_own_may_hold_it(broadcast: BroadcastManager) -> None:
    driver = ClosedDriver()
    broadcast.extend("pusher", lambda **options: driver)

    async with running(broadcast):
        broadcast.driver()

    assert driver.closed


async def test_rules_that_cannot_work_are_told_there_too(broadcast: BroadcastManager) -> None:
    with pytest.raises(ConfigurationError, match="Member"):
        await running(with_impossible_rule(broadcast)).__aenter__()


async def test_the_prefix_can_be_another_and_counts_from_where_it_is_mounted(
    broadcast: BroadcastManager,
) -> None:
    app = Broadcasting(shop, broadcast, user=user_of, prefix="/live")

    mounted = await called(app, b"", path="/shop/live/auth", root_path="/shop")

    assert mounted == (400, b'{"error":"channel_name is missing"}')


async def test_a_body_is_read_in_parts_and_never_further_than_its_limit(broadcast: BroadcastManager) -> None:
    app = Broadcasting(shop, broadcast, user=user_of)

    in_parts = await called(app, b"socket_id=1.2&chan", b"nel_name=private-users.ann")
    too_long = await called(app, *[b"x" * 10_000] * 7, b"never read")

    assert (in_parts[0], too_long[0]) == (403, 413)


async def test_a_browser_that_leaves_in_the_middle_asked_for_nothing(broadcast: BroadcastManager) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    heard: list[Any] = []

    async def send(event: Any) -> None:
        heard.append(event["type"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/broadcasting/auth",
        "query_string": b"",
        "headers": [],
    }
    await Broadcasting(shop, broadcast, user=user_of)(scope, receive, send)

    assert heard == ["http.response.start", "http.response.body"]


async def test_the_function_for_the_user_may_be_async(broadcast: BroadcastManager) -> None:
    async def user(scope: Scope) -> str:
        return "ann"

    body = b"socket_id=1.2&channel_name=private-users.ann"

    assert (await called(Broadcasting(shop, broadcast, user=user), body))[0] == 200


async def test_what_the_application_raises_is_logged_and_not_answered(
    broadcast: BroadcastManager, caplog: pytest.LogCaptureFixture
) -> None:
    def user(scope: Scope) -> str:
        raise RuntimeError("rack and ruin")

    answer = await called(Broadcasting(shop, broadcast, user=user), b"")

    assert answer == (500, b'{"error":"internal server error"}')
    assert "rack and ruin" in caplog.text


async def test_a_websocket_is_no_request_of_a_connection() -> None:
    heard = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        heard.append(socket_of_request())

    headers = [(b"x-socket-id", b"12.34")]
    for kind in ("websocket", "http"):
        await SocketMiddleware(app)({"type": kind, "headers": headers}, None, None)  # type: ignore[arg-type]

    assert heard == [None, "12.34"]
