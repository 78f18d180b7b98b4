"""Small clients for tests of the server: a WebSocket that speaks the protocol, and signed HTTP."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Origin

from broadcaster import AnonymousEvent, BroadcastManager, Settings
from broadcaster.server import App, AsgiServer, ServerThread
from broadcaster.signing import Credentials, body_digest
from tests.waits import until

APP = App(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8")
CREDENTIALS = Credentials(APP.key, APP.secret)
SECONDS = 20.0

UPGRADE = (
    b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Client:
    """A WebSocket that has been through `connection_established`."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket
        self.established = self.receive()
        self.socket_id: str = json.loads(self.established["data"])["socket_id"]

    def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.socket.recv(timeout=SECONDS))
        return frame

    def send(self, event: str, **fields: object) -> None:
        self.socket.send(json.dumps({"event": event, **fields}))

    def subscribe(self, channel: str, *, user_id: str | None = None) -> dict[str, Any]:
        data: dict[str, str] = {"channel": channel}
        if user_id is not None:
            data["channel_data"] = json.dumps({"user_id": user_id})
        if channel.startswith(("private-", "presence-")):
            data["auth"] = CREDENTIALS.channel_auth(self.socket_id, channel, data.get("channel_data"))
        self.send("pusher:subscribe", data=data)
        return self.receive()

    def is_alive(self) -> bool:
        self.send("pusher:ping", data={})
        return bool(self.receive()["event"] == "pusher:pong")


@contextmanager
def client(
    port: int, *, key: str = APP.key, query: str = "?protocol=7", origin: str | None = None
) -> Iterator[Client]:
    url = f"ws://127.0.0.1:{port}/app/{key}{query}"
    with connect(
        url, open_timeout=SECONDS, close_timeout=1, origin=None if origin is None else Origin(origin)
    ) as socket:
        yield Client(socket)


@dataclass
class Answer:
    status: int
    body: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    port: int,
    method: str,
    path: str,
    body: object = None,
    *,
    credentials: Credentials = CREDENTIALS,
    below: str = "",
    ids: str = "",
    query: Mapping[str, str] | None = None,
) -> Answer:
    """Make one signed call of the HTTP API, mounted *below* a prefix that is not signed."""
    raw = b"" if body is None else json.dumps(body).encode()
    target = signed(method, path, raw, credentials=credentials, query=query)
    return plain(port, method, f"{below}{target}", raw, ids=ids)


def signed(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    credentials: Credentials = CREDENTIALS,
    query: Mapping[str, str] | None = None,
) -> str:
    """Return the target of a call of the HTTP API: *path* and *query* with a signature."""
    params = [
        *(query or {}).items(),
        ("auth_key", credentials.key),
        ("auth_timestamp", str(int(time.time()))),
        ("auth_version", "1.0"),
    ]
    if body:
        params.append(("body_md5", body_digest(body)))
    params.append(("auth_signature", credentials.request_signature(method, path, params)))
    return f"{path}?{'&'.join(f'{name}={value}' for name, value in params)}"


def plain(port: int, method: str, target: str, body: bytes = b"", *, ids: str = "") -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(
            method, target, body=body or None, headers={"X-Idempotency-Key": ids} if ids else {}
        )
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.getheaders()))
    finally:
        connection.close()


@contextmanager
def raw(port: int) -> Iterator[socket.socket]:
    """A bare TCP connection, for what no well-behaved client does."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def is_cut(connection: socket.socket, data: bytes) -> bool:
    """Say *data*, and tell whether the server has hung up."""
    connection.settimeout(0.05)
    try:
        connection.sendall(data)
        return connection.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@contextmanager
def stalled(port: int, channel: str) -> Iterator[socket.socket]:
    """A connection that subscribes to *channel* and then never reads."""
    subscribe = json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}).encode()
    with raw(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 101 ")
        connection.sendall(Frame(Opcode.TEXT, subscribe).serialize(mask=True))
        until(lambda: channel in call(port, "GET", "/apps/3/channels").json["channels"])
        yield connection


def flood_until_one_is_left(server: AsgiServer | ServerThread, port: int) -> None:
    """Send events to a reader that stalls and to one that does not, which has to get them all."""
    with (
        stalled(port, "feed"),
        client(port) as healthy,
        BroadcastManager(Settings(default="local"), server=server) as broadcast,
    ):
        healthy.subscribe("feed")
        sent = 0
        while server.connection_count == 2:
            assert sent < 5_000, "the stalled reader was never cut off"
            broadcast.send(AnonymousEvent("tick", on="feed", data={"n": sent, "fill": "x" * 9_000}))
            assert json.loads(healthy.receive()["data"])["n"] == sent
            sent += 1
