"""How an event gets into a server of the Pusher protocol, as its users send it: HTTP API, Redis."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from benchmarks.app import APP_ID, CREDENTIALS, EVENT, KEY
from broadcaster.signing import body_digest

__all__ = ["Publish", "connected", "heard", "over_http", "over_http_closing", "over_redis", "signed_post"]

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
    with ExitStack() as stack:
        kept = [stack.enter_context(connected(port))]

        def publish(channel: str, datas: Sequence[str]) -> None:
            if _has_ended(kept[-1]):
                # A server does not wait for ever while its clients connect.
                kept.append(stack.enter_context(connected(port)))
            requests = list(_posts(channel, datas))
            kept[-1].sendall(b"".join(requests))
            _hear_answers(kept[-1], len(requests))

        yield publish


@contextmanager
def over_http_closing(port: int) -> Iterator[Publish]:
    """Like `over_http()`, to a server that closes after each answer: over a connection for each request."""

    def publish(channel: str, datas: Sequence[str]) -> None:
        with ExitStack() as stack:
            asked = []
            for request in _posts(channel, datas):
                asked.append(stack.enter_context(connected(port)))
                asked[-1].sendall(request)
            for connection in asked:
                _hear_answers(connection, 1)

    yield publish


@contextmanager
def over_redis(port: int) -> Iterator[Publish]:
    """Send by PUBLISH, as a bus message from outside, all in one write."""
    with connected(port) as connection:

        def publish(channel: str, datas: Sequence[str]) -> None:
            texts = [json.dumps({"event": EVENT, "data": json.loads(data), "socket": None}) for data in datas]
            connection.sendall(b"".join(_command("PUBLISH", channel, text) for text in texts))
            _hear_lines(connection, len(texts))

        yield publish


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Open a connection, which waits for a time and sends at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def heard(connection: socket.socket) -> bytes:
    """Return what has come next; raise `ConnectionError` at the end."""
    if not (piece := connection.recv(65_536)):
        raise ConnectionError("the server has hung up on a publisher")
    return piece


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether there is something to read where nothing was asked, which is the end."""
    return bool(select.select([connection], [], [], 0)[0])


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
    """Read so many answers, with JSON or in chunks, whose bodies hold no HTTP; all of them say 200."""
    received = b""
    while received.count(b"HTTP/1.1 ") < count or not received.endswith((b"}", b"\r\n0\r\n\r\n")):
        received += heard(connection)
    if received.count(b"HTTP/1.1 200 ") != count:
        raise AssertionError(f"the server has answered {received!r}")


def _hear_lines(connection: socket.socket, count: int) -> None:
    received = b""
    while received.count(b"\r\n") < count:
        received += heard(connection)
