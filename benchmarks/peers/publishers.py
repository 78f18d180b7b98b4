"""How an event gets into a peer: by WebSocket, or by what it has for it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.app import EVENT
from benchmarks.dialects import frame, socketio_greeted, upgrade
from benchmarks.publishers import Publish, connected, heard
from broadcaster.protocol import frames

__all__ = ["over_nats", "over_nchan", "over_socketio", "over_websocket"]


@contextmanager
def over_websocket(port: int) -> Iterator[Publish]:
    """Send by WebSocket to a bare server of `peers/`: frames with the whole text, all in one write."""
    with connected(port) as connection:
        _follow([upgrade("/"), b""], connection)

        def publish(channel: str, datas: Sequence[str]) -> None:
            said = [f"publish {channel} {text}" for text in _texts(channel, datas)]
            connection.sendall(b"".join(frame(each.encode()) for each in said))

        yield publish


@contextmanager
def over_socketio(port: int) -> Iterator[Publish]:
    """Send by Socket.IO to the server in `peers/`: the event `publish`, all in one write."""
    with connected(port) as connection:
        _follow(socketio_greeted(), connection)

        def publish(channel: str, datas: Sequence[str]) -> None:
            said = [f"42{json.dumps(['publish', channel, text])}" for text in _texts(channel, datas)]
            connection.sendall(b"".join(frame(each.encode()) for each in said))

        yield publish


@contextmanager
def over_nchan(port: int) -> Iterator[Publish]:
    """Send by POST to nchan, over one connection, pipelined."""
    with connected(port) as connection:

        def publish(channel: str, datas: Sequence[str]) -> None:
            head = f"POST /pub?id={channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/json\r\n"
            requests = [f"{head}Content-Length: {len(text)}\r\n\r\n{text}" for text in _texts(channel, datas)]
            connection.sendall("".join(requests).encode())
            received = b""
            while received.count(b"HTTP/1.1 20") < len(requests):
                received += heard(connection)

        yield publish


@contextmanager
def over_nats(port: int) -> Iterator[Publish]:
    """Send by PUB to NATS, over TCP, all in one write."""
    with connected(port) as connection:
        connection.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

        def publish(channel: str, datas: Sequence[str]) -> None:
            said = [f"PUB {channel} {len(text)}\r\n{text}\r\n" for text in _texts(channel, datas)]
            connection.sendall("".join(said).encode())

        yield publish


def _texts(channel: str, datas: Sequence[str]) -> list[str]:
    """Return the whole texts that our frames would hold."""
    return [frames.event(EVENT, channel, data) for data in datas]


def _follow(script: Sequence[bytes], connection: socket.socket) -> None:
    for send, expected in zip(script[::2], script[1::2], strict=True):
        connection.sendall(send)
        received = b""
        while (expected or b"\r\n\r\n") not in received:
            received += heard(connection)
