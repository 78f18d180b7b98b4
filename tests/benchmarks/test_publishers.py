"""How events are sent by the benchmarks: over a connection that a server may close while nothing is sent."""

from __future__ import annotations

import socket
from threading import Event, Thread

import pytest
from benchmarks.publishers import over_http

_SECONDS = 10.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_an_idle_connection_that_was_closed_is_opened_again() -> None:
    requests: list[bytes] = []
    closed = Event()

    def serve(listener: socket.socket) -> None:
        listener.accept()[0].close()
        closed.set()
        with listener.accept()[0] as connection:
            connection.settimeout(_SECONDS)
            requests.append(connection.recv(65_536))
            connection.sendall(_OK)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_SECONDS)
        serving = Thread(target=serve, args=[listener])
        serving.start()
        with over_http(listener.getsockname()[1]) as publish:
            assert closed.wait(_SECONDS)
            publish("orders", ["{}"])
        serving.join(_SECONDS)

    assert requests[0].startswith(b"POST /apps/1/events?")


def test_an_answer_other_than_200_is_an_error() -> None:
    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.settimeout(_SECONDS)
            connection.recv(65_536)
            connection.sendall(_OK.replace(b"200 OK", b"401 Unauthorized"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_SECONDS)
        serving = Thread(target=serve, args=[listener])
        serving.start()
        with over_http(listener.getsockname()[1]) as publish, pytest.raises(AssertionError, match="401"):
            publish("orders", ["{}"])
        serving.join(_SECONDS)
