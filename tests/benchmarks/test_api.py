"""The requests of the benchmarks: that each is sent once, and each answer counted once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from benchmarks.compiled import compiled

from tests.platforms import only_linux

pytestmark = only_linux("the clients are in C and use epoll, which no other system has")


class _Handler(BaseHTTPRequestHandler):
    """Answers in the way that the path asks for."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.server.heard.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(401 if self.path == "/refused" else 200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\n{}\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path == "/closed":
            self.send_header("Connection", "close")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    heard: list[bytes]


@pytest.mark.parametrize("path", ["/kept", "/closed", "/chunked"])
def test_every_request_is_sent_once_and_its_answer_counted(tmp_path: Path, path: str) -> None:
    with _server() as server:
        found = _posts(server, tmp_path, path, connections=3, count=50)

    assert (found["answered"], found["refused"]) == (50, 0)
    assert sorted(server.heard) == [b"%02d" % number for number in range(50)]


def test_an_answer_other_than_200_is_no_success(tmp_path: Path) -> None:
    with _server() as server:
        found = _posts(server, tmp_path, "/refused", connections=1, count=3)

    assert (found["answered"], found["refused"]) == (0, 3)


@contextmanager
def _server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.heard = []
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.shutdown()
        serving.join(10)


def _posts(server: _Server, folder: Path, path: str, *, connections: int, count: int) -> dict[str, Any]:
    file = folder / "requests"
    requests = [
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d" % (path.encode(), number)
        for number in range(count)
    ]
    file.write_bytes(b"".join(len(request).to_bytes(4, "little") + request for request in requests))
    command = [compiled("posts"), str(server.server_port), str(connections), "10", str(file)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, check=False, timeout=20).stdout
    )
    return found
