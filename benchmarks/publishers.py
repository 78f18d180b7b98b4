"""How an event gets into a server, as its users would: HTTP API, Redis, a protocol of its own."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from benchmarks.app import APP_ID, CREDENTIALS, EVENT, KEY
from benchmarks.dialects import frame, socketio_greeted, upgrade
from broadcaster.protocol import frames
from broadcaster.signing import body_digest

__all__ = [
    "Publish",
    "over_http",
    "over_http_closing",
    "over_nats",
    "over_nchan",
    "over_redis",
    "over_socketio",
    "over_websocket",
    "signed_post",
]

_SECONDS = 30.0
_BATCH = 10

Publish: TypeAlias = Callable[[str, Sequence[str]], None]
"""Sends events with the given data, to one channel, all at once."""


def signed_post(path: str, body: object) -> bytes:
    """Return a request to the HTTP API, ready to be sent."""
    text = json.dumps(body).encode()
    params = {
        "auth_key": KEY,
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": body_digest(text),
    }
    whole = f"/apps/{APP_ID}/{path}"
    signature = CREDENTIALS.request_signature("POST", whole, params.items())
    query = "&".join(f"{name}={value}" for name, value in params.items())
    head = (
        f"POST {whole}?{query}&auth_signature={signature} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


@contextmanager
def over_http(port: int) -> Iterator[Publish]:
    """Send by signed POSTs, over one connection: one event by `events`, many by `batch_events`, pipelined."""
    with _connected(port) as connection:

        def publish(channel: str, datas: Sequence[str]) -> None:
            requests = list(_posts(channel, datas))
            connection.sendall(b"".join(requests))
            _hear_answers(connection, len(requests))

        yield publish


@contextmanager
def over_http_closing(port: int) -> Iterator[Publish]:
    """Like `over_http()`, to a server that closes after each answer: over a connection for each request."""

    def publish(channel: str, datas: Sequence[str]) -> None:
        with ExitStack() as stack:
            asked = []
            for request in _posts(channel, datas):
                asked.append(stack.enter_context(_connected(port)))
                asked[-1].sendall(request)
            for connection in asked:
                _hear_answers(connection, 1)

    yield publish


@contextmanager
def over_redis(port: int) -> Iterator[Publish]:
    """Send by PUBLISH, as a bus message from outside, all in one write."""
    with _connected(port) as connection:

        def publish(channel: str, datas: Sequence[str]) -> None:
            texts = [json.dumps({"event": EVENT, "data": json.loads(data), "socket": None}) for data in datas]
            connection.sendall(b"".join(_command("PUBLISH", channel, text) for text in texts))
            _hear_lines(connection, len(texts))

        yield publish


@contextmanager
def over_websocket(port: int) -> Iterator[Publish]:
    """Send by WebSocket to a bare server of `peers/`: frames with the whole text, all in one write."""
    with _connected(port) as connection:
        _follow([upgrade("/"), b""], connection)

        def publish(channel: str, datas: Sequence[str]) -> None:
            said = [f"publish {channel} {text}" for text in _texts(channel, datas)]
            connection.sendall(b"".join(frame(each.encode()) for each in said))

        yield publish


@contextmanager
def over_socketio(port: int) -> Iterator[Publish]:
    """Send by Socket.IO to the server in `peers/`: the event `publish`, all in one write."""
    with _connected(port) as connection:
        _follow(socketio_greeted(), connection)

        def publish(channel: str, datas: Sequence[str]) -> None:
            said = [f"42{json.dumps(['publish', channel, text])}" for text in _texts(channel, datas)]
            connection.sendall(b"".join(frame(each.encode()) for each in said))

        yield publish


@contextmanager
def over_nchan(port: int) -> Iterator[Publish]:
    """Send by POST to nchan, over one connection, pipelined."""
    with _connected(port) as connection:

        def publish(channel: str, datas: Sequence[str]) -> None:
            head = f"POST /pub?id={channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/json\r\n"
            requests = [f"{head}Content-Length: {len(text)}\r\n\r\n{text}" for text in _texts(channel, datas)]
            connection.sendall("".join(requests).encode())
            received = b""
            while received.count(b"HTTP/1.1 20") < len(requests):
                received += _read(connection)

        yield publish


@contextmanager
def over_nats(port: int) -> Iterator[Publish]:
    """Send by PUB to NATS, over TCP, all in one write."""
    with _connected(port) as connection:
        connection.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

        def publish(channel: str, datas: Sequence[str]) -> None:
            said = [f"PUB {channel} {len(text)}\r\n{text}\r\n" for text in _texts(channel, datas)]
            connection.sendall("".join(said).encode())

        yield publish


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def _texts(channel: str, datas: Sequence[str]) -> list[str]:
    """Return the whole texts that our frames would hold."""
    return [frames.event(EVENT, channel, data) for data in datas]


def _follow(script: Sequence[bytes], connection: socket.socket) -> None:
    for send, expected in zip(script[::2], script[1::2], strict=True):
        connection.sendall(send)
        received = b""
        while (expected or b"\r\n\r\n") not in received:
            received += _read(connection)


def _posts(channel: str, datas: Sequence[str]) -> Iterator[bytes]:
    events = [{"name": EVENT, "channel": channel, "data": data} for data in datas]
    if len(events) == 1:
        yield signed_post("events", events[0])
        return
    for first in range(0, len(events), _BATCH):
        yield signed_post("batch_events", {"batch": events[first : first + _BATCH]})


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)])


def _hear_answers(connection: socket.socket, count: int) -> None:
    """Read so many answers, whose bodies hold no HTTP; all of them say 200."""
    received = b""
    while received.count(b"HTTP/1.1 ") < count or not received.endswith(b"}"):
        received += _read(connection)
    if received.count(b"HTTP/1.1 200 ") != count:
        raise AssertionError(f"the server has answered {received!r}")


def _hear_lines(connection: socket.socket, count: int) -> None:
    received = b""
    while received.count(b"\r\n") < count:
        received += _read(connection)


def _read(connection: socket.socket) -> bytes:
    if not (piece := connection.recv(65_536)):
        raise ConnectionError("the server has hung up on a publisher")
    return piece
