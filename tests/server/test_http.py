import asyncio
import gc
import json
import re

import pytest

from broadcaster.server import Server, ServerThread
from broadcaster.server.http import HttpConnection
from tests.server.clients import APP, SECONDS, UPGRADE, call, client, plain, raw, read_all, signed
from tests.waits import auntil, until


def signed_post(path: str, body: bytes) -> bytes:
    target = signed("POST", path, body)
    return f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()


def test_the_health_check_answers(server: ServerThread) -> None:
    assert plain(server.port, "GET", "/up").json == {"health": "OK"}


def test_a_head_request_gets_no_body(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.sendall(b"HEAD /up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = read_all(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""


@pytest.mark.parametrize("target", ["/", "/apps", "/apps/", "/other", "/apps/3", "/apps/3/nothing"])
def test_an_unknown_route_is_not_found(server: ServerThread, target: str) -> None:
    assert plain(server.port, "GET", target).status == 404


def test_an_unknown_application_is_not_found(server: ServerThread) -> None:
    assert call(server.port, "GET", "/apps/99/channels").status == 404


def test_an_unsigned_call_is_refused(server: ServerThread) -> None:
    assert plain(server.port, "GET", "/apps/3/channels").status == 401


def test_no_occupied_channel_is_an_empty_object(server: ServerThread) -> None:
    assert call(server.port, "GET", "/apps/3/channels").json == {"channels": {}}


def test_a_body_may_come_in_pieces(server: ServerThread) -> None:
    body = json.dumps({"name": "e", "channel": "c", "data": "x" * 9_000}).encode()
    with raw(server.port) as connection:
        connection.sendall(signed_post("/apps/3/events", body) + b"Connection: close\r\n\r\n")
        for start in range(0, len(body), 1_000):
            connection.sendall(body[start : start + 1_000])

        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_body_is_put_together(server: ServerThread) -> None:
    body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
    head = signed_post("/apps/3/events", body).partition(b"Content-Length")[0]
    with raw(server.port) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on(server: ServerThread) -> None:
    body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
    with raw(server.port) as connection:
        connection.sendall(
            signed_post("/apps/3/events", body) + b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        invitation = connection.recv(65_536)
        connection.sendall(body)
        answer = read_all(connection)

    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_requests_on_one_connection_are_answered_in_order(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = read_all(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]


def test_requests_that_come_in_one_piece_are_not_taken_for_one_long_head(server: ServerThread) -> None:
    post = b"POST /apps/3/events HTTP/1.1\r\nContent-Length: 12000\r\n\r\n" + b"x" * 12_000
    with raw(server.port) as connection:
        connection.sendall(post + post + b"GET /up HTTP/1.1\r\nConnec")
        connection.sendall(b"tion: close\r\n\r\n")
        received = read_all(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"401", b"401", b"200"]


@pytest.mark.parametrize("line", [b"POST %b HTTP/1.1\r\n", b"GET %b HTTP/1.0\r\n"])
def test_only_a_get_of_http_1_1_opens_a_websocket(server: ServerThread, line: bytes) -> None:
    with raw(server.port) as connection:
        connection.sendall(line % f"/app/{APP.key}?protocol=7".encode() + UPGRADE)

        assert read_all(connection).startswith(b"HTTP/1.1 426 ")


async def test_a_client_that_leaves_its_answers_unread_gets_no_websocket() -> None:
    handshake = f"GET /app/{APP.key}?protocol=7 HTTP/1.1\r\n".encode() + UPGRADE
    async with Server([APP], port=0) as server, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await auntil(lambda: bool(server._transports._open))
        connection = next(iter(server._transports._open)).get_protocol()
        assert isinstance(connection, HttpConnection)

        connection.pause_writing()
        connection.data_received(handshake)

        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


def test_an_upgrade_to_something_else_is_answered_as_if_it_had_not_asked(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"what is this?\r\n\r\n", b"400"),
        (b"GET /up HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000, b"431"),
        (b"GET /" + b"y" * 20_000, b"431"),
        (
            b"GET /up HTTP/1.1\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 500 + b"\r\n",
            b"431",
        ),
        (b"POST /apps/3/events HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"y" * 1_100_000, b"413"),
        (b"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: yyyy\r\n" * 5_000, b"431"),
        (b"GET /up HTTP/1.1\r\n" + b"X: yyyyyyyy\r\n" * 2_000 + UPGRADE, b"431"),
    ],
    ids=[
        "not HTTP",
        "an endless header",
        "an endless target",
        "many headers",
        "a large body",
        "endless trailers",
        "an upgrade with many headers",
    ],
)
def test_a_request_beyond_the_bounds_is_refused_and_the_connection_closed(
    server: ServerThread, request_bytes: bytes, status: bytes
) -> None:
    with raw(server.port) as connection:
        connection.sendall(request_bytes)

        assert connection.recv(65_536).split()[1] == status


def test_a_query_with_too_many_parameters_is_refused(server: ServerThread) -> None:
    assert plain(server.port, "GET", "/up?" + "&".join(["a=1"] * 65)).status == 400


def test_a_connection_stays_open_between_requests(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.settimeout(SECONDS)
        for _ in range(3):
            connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"Connection: keep-alive" in connection.recv(65_536)


def test_a_header_that_is_there_twice_counts_as_one(server: ServerThread) -> None:
    event = {"name": "e", "channel": "c", "data": "{}"}
    body = json.dumps({"batch": [event, event, event]}).encode()
    ids = b"X-Idempotency-Key: one\r\nx-idempotency-KEY: two\r\nConnection: close\r\n\r\n"
    with raw(server.port) as connection:
        connection.sendall(signed_post("/apps/3/batch_events", body) + ids + body)
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(b"X-Idempotency-Key has 2 ids for 3 events")


def test_a_route_that_is_asked_with_another_method_names_its_own(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.sendall(b"GET /apps/3/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head = read_all(connection).partition(b"\r\n\r\n")[0]

    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST\r\n" in head


def test_a_call_that_is_made_again_is_pushed_once(server: ServerThread) -> None:
    event = {"name": "news", "channels": ["a"], "data": "{}"}
    with client(server.port) as browser:
        browser.subscribe("a")

        for ids in ("one", "one", "two"):
            assert call(server.port, "POST", "/apps/3/events", event, ids=ids).status == 200

        assert [browser.receive()["event"] for _ in range(2)] == ["news", "news"]
        assert browser.is_alive()


def test_a_connection_that_ends_or_becomes_a_websocket_is_no_work_for_the_garbage_collector() -> None:
    def remaining() -> int:
        return sum(type(found) is HttpConnection for found in gc.get_objects())

    gc.collect()
    before = remaining()
    gc.disable()
    try:
        with ServerThread([APP], port=0) as server, client(server.port) as browser:
            assert plain(server.port, "GET", "/up").status == 200
            assert plain(server.port, "GET", f"/app/{APP.key}").status == 426

            until(lambda: remaining() == before)
            assert browser.is_alive()
    finally:
        gc.enable()
