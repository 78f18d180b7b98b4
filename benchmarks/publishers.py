"""How an event gets into a server, as its users would: HTTP API, Redis, a protocol of its own."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from benchmarks.app import APP_ID, CREDENTIALS, EVENT, KEY
from benchmarks.dialects import frame, upgrade
from broadcaster.protocol import frames
from broadcaster.signing import body_digest

__all__ = ["Publish", "over_http", "over_redis", "over_websocket", "signed_post"]

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
            events = [{"name": EVENT, "channel": channel, "data": data} for data in datas]
            requests = list(_posts(events))
            connection.sendall(b"".join(requests))
            _hear_answers(connection, len(requests))

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
        connection.sendall(upgrade("/"))
        while not _read(connection).endswith(b"\r\n\r\n"):
            pass

        def publish(channel: str, datas: Sequence[str]) -> None:
            texts = [f"publish {channel} {frames.event(EVENT, channel, data)}" for data in datas]
            connection.sendall(b"".join(frame(text.encode()) for text in texts))

        yield publish


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def _posts(events: Sequence[object]) -> Iterator[bytes]:
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
