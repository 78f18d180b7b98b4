from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import trustme

from broadcaster import ConfigurationError
from broadcaster.server import Bounds, ServerThread, Tls
from tests.server.clients import APP, flood_until_one_is_left, is_cut, raw, read_all
from tests.waits import until


@contextmanager
def bounded(tls: Tls | None = None, **bounds: Any) -> Iterator[ServerThread]:
    with ServerThread([APP], port=0, tls=tls, bounds=Bounds(**bounds)) as server:
        yield server


def test_a_head_beyond_its_size_is_431() -> None:
    with bounded(head_size=200) as server, raw(server.port) as connection:
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300 + b"\r\n\r\n")

        assert read_all(connection).startswith(b"HTTP/1.1 431 ")


def test_a_body_beyond_its_size_is_413() -> None:
    with bounded(body_size=10) as server, raw(server.port) as connection:
        connection.sendall(
            b"POST /apps/3/events HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b"x" * 11
        )

        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("said", [b"", b"GET /up HT", b"GET /app/x HTTP/1.1\r\nHost: a\r\n"])
def test_a_client_that_takes_its_time_over_a_request_is_cut_off(said: bytes) -> None:
    with bounded(request_seconds=0.2) as server, raw(server.port) as connection:
        connection.sendall(said)
        started = time.monotonic()

        assert read_all(connection) == b""

        assert time.monotonic() - started < 10


def test_a_client_that_sends_a_byte_now_and_then_wins_no_time() -> None:
    with bounded(request_seconds=0.5) as server, raw(server.port) as connection:
        until(lambda: is_cut(connection, b"x"))


def test_a_connection_that_asks_nothing_more_is_closed() -> None:
    with bounded(idle_seconds=1.0) as server, raw(server.port) as connection:
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")

        assert read_all(connection) == b""


def test_a_tls_handshake_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    with bounded(Tls(tmp_path / "server.pem"), tls_seconds=0.2) as server, raw(server.port) as connection:
        assert read_all(connection) == b""


def test_a_client_that_leaves_more_unread_than_it_may_is_cut_off() -> None:
    with bounded(outbox_size=50_000) as server:
        flood_until_one_is_left(server, server.port)


@pytest.mark.parametrize("name", [field.name for field in fields(Bounds)])
def test_what_is_not_above_0_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be above 0, not 0"):
        Bounds(**{name: 0})
