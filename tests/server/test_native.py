import json
import socket
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from broadcaster import AnonymousEvent, BroadcastManager, Settings, current_socket
from broadcaster.protocol.limits import Limits
from broadcaster.server import App, ServerThread
from tests.server.clients import APP, SECONDS, call, client, plain, raw, read_all
from tests.waits import until


def local(server: ServerThread) -> BroadcastManager:
    return BroadcastManager(Settings(default="local"), server=server)


def test_the_first_frame_names_the_socket_and_the_activity_timeout(server: ServerThread) -> None:
    with client(server.port) as browser:
        data = json.loads(browser.established["data"])

    assert browser.established["event"] == "pusher:connection_established"
    assert data["activity_timeout"] == 120
    assert data["socket_id"].replace(".", "").isdigit()


@pytest.mark.parametrize("version", ["5", "6", "7"])
def test_the_protocol_versions_that_clients_speak_are_taken(server: ServerThread, version: str) -> None:
    with client(server.port, query=f"?protocol={version}&client=java-client&version=2.4.4") as browser:
        assert browser.is_alive()


@pytest.mark.parametrize(
    ("key", "query", "code"),
    [("nobody", "?protocol=7", 4001), (APP.key, "", 4008), (APP.key, "?protocol=3", 4007)],
)
def test_a_refused_connection_gets_an_error_frame_and_then_the_same_close_code(
    server: ServerThread, key: str, query: str, code: int
) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/app/{key}{query}") as browser:
        error = json.loads(browser.recv(timeout=SECONDS))
        with pytest.raises(ConnectionClosed) as closed:
            browser.recv(timeout=SECONDS)

    assert error["event"] == "pusher:error"
    assert error["data"]["code"] == code
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def refused_code(port: int, *, origin: str | None = None) -> int:
    """Return the code of the error frame that a connection gets instead of its first frame."""
    url = f"ws://127.0.0.1:{port}/app/{APP.key}?protocol=7"
    with connect(url, origin=None if origin is None else Origin(origin)) as browser:
        return int(json.loads(browser.recv(timeout=SECONDS))["data"]["code"])


def test_a_page_of_another_origin_is_4009() -> None:
    with ServerThread([replace(APP, origins=("https://example.com",))], port=0) as server:
        assert refused_code(server.port, origin="https://evil.test") == 4009
        with client(server.port) as native, client(server.port, origin="https://example.com") as page:
            assert native.is_alive()
            assert page.is_alive()


def test_too_many_connections_from_one_address_are_4100_until_one_is_closed() -> None:
    with ServerThread([replace(APP, limits=Limits(connections_per_address=1))], port=0) as server:
        with client(server.port):
            assert refused_code(server.port) == 4100
        until(lambda: server.connection_count == 0)
        with client(server.port) as browser:
            assert browser.is_alive()


def test_a_websocket_elsewhere_than_under_app_is_not_found(server: ServerThread) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{server.port}/chat"):
        pass

    assert refused.value.response.status_code == 404


def test_an_event_posted_to_the_api_reaches_the_subscriber_as_it_was_posted(server: ServerThread) -> None:
    with client(server.port) as browser:
        browser.subscribe("private-orders.7")

        answer = call(
            server.port,
            "POST",
            "/apps/3/events",
            {"name": "Shipped", "channel": "private-orders.7", "data": '{"a": {}}'},
        )

        assert (answer.status, answer.body) == (200, "{}")
        assert browser.receive() == {"event": "Shipped", "channel": "private-orders.7", "data": '{"a": {}}'}


def test_whoever_hears_that_an_event_was_taken_may_rely_on_its_frames(server: ServerThread) -> None:
    subscribe = json.dumps({"event": "pusher:subscribe", "data": {"channel": "orders"}}).encode()
    with raw(server.port) as browser:
        browser.sendall(
            f"GET /app/{APP.key}?protocol=7 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        browser.sendall(bytes([0x81, 0x80 | len(subscribe)]) + bytes(4) + subscribe)
        received = b""
        while b"subscription_succeeded" not in received:
            received += browser.recv(65_536)
        browser.setblocking(False)

        for number in range(100):
            said = {"name": "OrderShipped", "channel": "orders", "data": f"number {number}."}
            assert call(server.port, "POST", f"/apps/{APP.id}/events", said).status == 200
            # It waits for nothing: the frame was on its way before the answer.
            assert f"number {number}.".encode() in browser.recv(65_536)


def test_an_event_sent_by_the_local_driver_skips_the_socket_it_came_from(server: ServerThread) -> None:
    with client(server.port) as sender, client(server.port) as other, local(server) as broadcast:
        sender.subscribe("chat")
        other.subscribe("chat")

        answer = call(
            server.port,
            "POST",
            "/apps/3/events",
            {"name": "Said", "channels": ["chat"], "data": "{}", "socket_id": sender.socket_id},
        )
        broadcast.send(AnonymousEvent("Next", on="chat"))

        assert answer.status == 200
        assert [other.receive()["event"], other.receive()["event"]] == ["Said", "Next"]
        assert sender.receive()["event"] == "Next"


def test_a_browser_that_comes_back_gets_what_it_has_missed() -> None:
    with ServerThread([replace(APP, history=("lobby",))], port=0) as server:
        broadcast = local(server)
        with client(server.port) as browser:
            browser.subscribe("lobby")
            broadcast.send(AnonymousEvent("one", on="lobby"))
            last_id = browser.receive()["id"]
            sender = browser.socket_id
        broadcast.send(AnonymousEvent("two", on="lobby"))
        with current_socket(sender):
            broadcast.send(AnonymousEvent("three", on="lobby"), to_others=True)
        with client(server.port) as browser:
            browser.send("pusher:subscribe", data={"channel": "lobby", "last_id": last_id})
            heard = [browser.receive()["event"] for _ in range(3)]

    assert heard == ["pusher_internal:subscription_succeeded", "two", "three"]


def test_presence_survives_a_connection_that_just_drops(server: ServerThread) -> None:
    with client(server.port) as stays:
        stays.subscribe("presence-room", user_id="ann")
        with client(server.port) as leaves:
            leaves.subscribe("presence-room", user_id="bob")
            added = stays.receive()
            leaves.socket.socket.shutdown(socket.SHUT_RDWR)
            removed = stays.receive()

    assert (added["event"], removed["event"]) == (
        "pusher_internal:member_added",
        "pusher_internal:member_removed",
    )
    assert json.loads(removed["data"]) == {"user_id": "bob"}


def test_terminating_a_user_closes_every_connection_that_signed_in(server: ServerThread) -> None:
    with client(server.port) as browser:
        user_data = json.dumps({"id": "ann/1"})
        browser.send(
            "pusher:signin",
            data={"auth": APP.credentials.user_auth(browser.socket_id, user_data), "user_data": user_data},
        )
        assert browser.receive()["event"] == "pusher:signin_success"

        answer = call(server.port, "POST", "/apps/3/users/ann/1/terminate_connections", {})

        assert answer.status == 200
        assert browser.receive()["data"]["code"] == 4009
        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4009


def test_applications_do_not_hear_each_other() -> None:
    other = App(id="4", key="other", secret="secret")
    with (
        ServerThread([APP, other], port=0) as server,
        client(server.port) as ours,
        client(server.port, key="other") as theirs,
    ):
        ours.subscribe("lobby")
        theirs.subscribe("lobby")

        call(
            server.port,
            "POST",
            "/apps/4/events",
            {"name": "e", "channel": "lobby", "data": "{}"},
            credentials=other.credentials,
        )

        assert theirs.receive()["event"] == "e"
        assert ours.is_alive()


def test_a_broken_handshake_is_refused(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.sendall(
            b"GET /app/key HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )

        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


def test_the_address_of_the_websocket_tells_plain_http_to_upgrade(server: ServerThread) -> None:
    assert plain(server.port, "GET", f"/app/{APP.key}").status == 426
