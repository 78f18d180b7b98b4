"""The clients of the benchmarks: that they count right, however what they get is cut to pieces."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from benchmarks.app import mark
from benchmarks.dialects import bare, frame
from benchmarks.load import Clients, Report
from websockets.frames import Frame, Opcode

from tests.platforms import only_linux

pytestmark = only_linux("the clients are in C and use epoll, which no other system has")

_SECONDS = 10.0
_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def test_frames_and_marks_are_counted_whatever_they_are_cut_into() -> None:
    marked = ["x" * size + mark() + "y" * size for size in (0, 1, 50, 54, 55, 109, 300, 40_000)] * 20
    wire = b"".join(_frame(text) for text in ["no mark", *marked, ""])

    def serve(connection: socket.socket) -> None:
        dice = random.Random(connection.fileno())
        left = memoryview(wire)
        while left:
            piece = dice.choice([1, 2, 5, 15, 16, 17, 40, 5_000])
            connection.sendall(left[:piece])
            left = left[piece:]

    with _server(serve) as port, Clients() as clients:
        clients.open(port, 3, bare("orders"))
        clients.wait_for("frames", 3 * (len(marked) + 2), _SECONDS)
        clients.waited(_SECONDS)
        report = clients.report()

    assert report.frames == 3 * (len(marked) + 2)
    assert report.marks == 3 * len(marked)
    assert report.bytes == 3 * len(_UPGRADED + _frame("subscribed") + wire)
    assert report.fewest == report.most == len(marked) + 2


def test_a_delay_is_the_time_since_its_mark() -> None:
    half_a_second_ago = f"{time.monotonic_ns() - 500_000_000:016x}^"

    with _server(lambda connection: connection.sendall(_frame(half_a_second_ago))) as port:
        report = _report_of(port, "marks", 1)

    assert 500_000 <= report.p50 == report.p99 <= report.longest < 500_000 + _SECONDS * 1e6


def test_two_marks_in_one_frame_are_two() -> None:
    with _server(lambda connection: connection.sendall(_frame(mark() + mark()))) as port:
        report = _report_of(port, "marks", 2)

    assert (report.frames, report.marks) == (1, 2)


def test_in_a_loop_each_frame_is_answered_with_the_connections_own() -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while said := _read_frame(connection):
            heard.append(said)
            connection.sendall(_frame("pong"))

    with _server(serve) as port, Clients() as clients:
        clients.open(port, 2, bare("orders"))
        clients.loop([frame(b"one"), frame(b"two")], seconds=0.2)
        report = clients.report()

    assert set(heard) == {b"one", b"two"}
    assert 2 < report.frames <= len(heard)


def test_connections_join_with_the_ids_they_were_told() -> None:
    def serve(connection: socket.socket) -> None:
        while said := _read_frame(connection):
            connection.sendall(_frame(f"joined {said.decode()}"))

    greeting = '{"data":"{\\"socket_id\\":\\"12.34\\"}"} subscribed'
    with _server(serve, greeting) as port, Clients() as clients:
        clients.open(port, 2, bare("orders"))
        ids = clients.ids()
        clients.join([frame(each.encode()) for each in ids], b"joined 12.34")

    assert ids == ["12.34", "12.34"]


def test_a_server_that_hangs_up_is_an_error() -> None:
    with _server(lambda connection: connection.close()) as port, pytest.raises(RuntimeError, match="hung up"):
        _report_of(port, "frames", 1)


def test_a_server_that_says_why_it_closes_is_an_error_with_its_reason() -> None:
    close = Frame(Opcode.CLOSE, b"\x10\x04too many").serialize(mask=False)

    with (
        _server(lambda connection: connection.sendall(close)) as port,
        pytest.raises(RuntimeError, match="4100 too many"),
    ):
        _report_of(port, "frames", 1)


def test_what_does_not_come_in_time_is_an_error() -> None:
    with _server(lambda _: None) as port, Clients() as clients:
        clients.open(port, 1, bare("orders"))
        clients.wait_for("frames", 1, 0.1)
        with pytest.raises(RuntimeError, match="too little"):
            clients.waited(_SECONDS)


def _report_of(port: int, what: str, count: int) -> Report:
    with Clients() as clients:
        clients.open(port, 1, bare("orders"))
        clients.wait_for(what, count, _SECONDS)
        clients.waited(_SECONDS)
        return clients.report()


@contextmanager
def _server(serve: Callable[[socket.socket], object], greeting: str = "subscribed") -> Iterator[int]:
    """Subscribe whoever comes, and *serve* each in a thread of its own."""
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while b"\r\n\r\n" not in connection.recv(65_536):
                pass
            connection.sendall(_UPGRADED)
            assert _read_frame(connection) == b"subscribe orders"
            connection.sendall(_frame(greeting))
            serve(connection)
            with suppress(OSError):
                connection.recv(1)

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=handle, args=[connection]))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=[listener])
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [accepting, *threads]:
                thread.join(_SECONDS)


def _frame(text: str) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def _read_frame(connection: socket.socket) -> bytes:
    """Read a short masked frame; nothing when the other side has gone."""
    try:
        head = connection.recv(6, socket.MSG_WAITALL)
        return connection.recv(head[1] & 127, socket.MSG_WAITALL) if len(head) == 6 else b""
    except ConnectionError:
        return b""
