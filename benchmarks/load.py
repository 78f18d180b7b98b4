"""Many clients in one thread: they connect, subscribe, and count every byte they get."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Self

from benchmarks.serving import CHANNEL, KEY
from broadcaster.protocol import frames

__all__ = ["Clients"]

_UPGRADE = (
    f"GET /app/{KEY}?protocol=7&client=benchmark&version=1.0 HTTP/1.1\r\nHost: localhost\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
_SUBSCRIBE = json.dumps({"event": "pusher:subscribe", "data": {"channel": CHANNEL}}).encode()
_PING = json.dumps({"event": "pusher:ping", "data": {}}).encode()
# A client's frames are masked; a mask of zeros leaves the text as it is.
_SUBSCRIBE_FRAME = bytes([0x81, 0x80 | len(_SUBSCRIBE)]) + bytes(4) + _SUBSCRIBE
_PING_FRAME = bytes([0x81, 0x80 | len(_PING)]) + bytes(4) + _PING
_PONG_SIZE = 2 + len(frames.pong)

_IN_FLIGHT = 64
_MOST_READY = 65_536
_HANDSHAKE_SECONDS = 120.0


class Clients:
    """Connections to one server; a context manager. Linux only, for its epoll."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._buffer = bytearray(262_144)

    def subscribe(self, count: int, *, receive_buffer: int | None = None) -> float:
        """Open *count* connections, 64 at a time, and subscribe each; return how many seconds it took.

        *receive_buffer* is the size of the kernel's buffer for each of them, in bytes.
        """
        start = time.perf_counter()
        opening: dict[int, Iterator[None]] = {}
        opened = 0
        while opened < count:
            while len(opening) < _IN_FLIGHT and opened + len(opening) < count:
                connection = self._connect(_UPGRADE, receive_buffer)
                opening[connection.fileno()] = _subscribed(connection)
            for descriptor in self._ready(start + _HANDSHAKE_SECONDS):
                if next(opening[descriptor], "done") == "done":
                    del opening[descriptor]
                    opened += 1
        return time.perf_counter() - start

    def connect(self, count: int) -> None:
        """Open *count* connections to the limit, which greets each with one byte."""
        for _ in range(count):
            self._connect()
        self.receive(1, seconds=_HANDSHAKE_SECONDS)

    def ping(self) -> None:
        """Have every connection ask whether the server is there, and get its answer."""
        for connection in self._sockets.values():
            connection.send(_PING_FRAME)
        self.receive(_PONG_SIZE, seconds=_HANDSHAKE_SECONDS)

    def receive(self, each: int, *, seconds: float, pause: float = 0.0) -> float:
        """Read until every connection has got *each* bytes, not one more; return how long it took.

        With a *pause* between two looks, in seconds, several frames are read at once: the server then
        neither waits for this process nor pays for waking it.
        """
        start = time.perf_counter()
        got = dict.fromkeys(self._sockets, 0)
        into: dict[int, Callable[[bytearray], int]] = {d: s.recv_into for d, s in self._sockets.items()}
        left, buffer = each * len(got), self._buffer
        while left > 0:
            time.sleep(pause)
            for descriptor in self._ready(start + seconds):
                size = into[descriptor](buffer)
                if not size:
                    raise ConnectionError("the server has hung up on a client")
                got[descriptor] += size
                left -= size
        wrong = [size for size in got.values() if size != each]
        if wrong:
            raise AssertionError(f"{len(wrong)} clients got {wrong[0]} bytes or so instead of {each}")
        return time.perf_counter() - start

    def receive_frames(self, count: int, *, size: int, seconds: float) -> None:
        """Like `receive()`, but take the bytes apart: *count* text frames of *size* bytes for each."""
        end = time.perf_counter() + seconds
        got = {descriptor: bytearray() for descriptor in self._sockets}
        left = count * size * len(got)
        while left > 0:
            for descriptor in self._ready(end):
                piece = _read(self._sockets[descriptor])
                got[descriptor] += piece
                left -= len(piece)
        for received in got.values():
            texts = _texts(received)
            if [len(text) + 4 for text in texts] != [size] * count or received:
                raise AssertionError(f"a client got {texts!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for connection in self._sockets.values():
            connection.close()

    def _connect(self, first: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(_HANDSHAKE_SECONDS)
        connection.connect(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(first)
        connection.setblocking(False)  # noqa: FBT003 - the signature is the standard library's
        self._sockets[connection.fileno()] = connection
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        return connection

    def _ready(self, end: float) -> list[int]:
        ready = self._epoll.poll(max(0.0, end - time.perf_counter()), _MOST_READY)
        if not ready:
            raise TimeoutError("the server has sent too little")
        return [descriptor for descriptor, _ in ready]


def _subscribed(connection: socket.socket) -> Iterator[None]:
    """Take the steps to a subscription, one each time that *connection* is readable."""
    received = bytearray(_read(connection))
    while (end := received.find(b"\r\n\r\n")) < 0:
        yield
        received += _read(connection)
    if not received.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"the server has answered {bytes(received)!r}")
    del received[: end + 4]
    texts = _texts(received)
    while not texts:
        yield
        received += _read(connection)
        texts = _texts(received)
    connection.send(_SUBSCRIBE_FRAME)
    while len(texts) < 2:
        yield
        received += _read(connection)
        texts += _texts(received)
    if b"subscription_succeeded" not in texts[1]:
        raise ConnectionError(f"the server has sent {texts!r}")


def _read(connection: socket.socket) -> bytes:
    if not (piece := connection.recv(65_536)):
        raise ConnectionError("the server has hung up on a client")
    return piece


def _texts(received: bytearray) -> list[bytes]:
    """Take whole unmasked text frames from the front of *received*."""
    texts = []
    while len(received) >= 2:
        size, head = received[1], 2
        if size == 126:
            size, head = int.from_bytes(received[2:4], "big"), 4
        if received[0] != 0x81 or len(received) < head + size:
            break
        texts.append(bytes(received[head : head + size]))
        del received[: head + size]
    return texts
