"""A real HTTP server on the loopback interface, in a thread, which answers as it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Answer", "Loopback", "Request"]

SECONDS = 10.0


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    target: str
    body: bytes
    headers: Mapping[str, str]
    peer: tuple[str, int]


@dataclass(frozen=True)
class Answer:
    """What is said to one request."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class Loopback:
    """Answers 200 and `{}` to everything, unless it was told to do otherwise."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._answers: list[Answer | None] = []
        self._silent = False
        self._dripping = False
        self._speak = threading.Event()
        self._server: _Server
        self._thread: threading.Thread
        self._port = port

    @property
    def port(self) -> int:
        """Where the server listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def peers(self) -> set[tuple[str, int]]:
        """The connections that requests came over."""
        return {request.peer for request in self.requests}

    def answer(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        """Give this answer to the next request that has none yet; `Retry_After="0"` is a header."""
        self._answers.append(Answer(status, body, {k.replace("_", "-"): v for k, v in headers.items()}))

    def hang_up(self) -> None:
        """Read the next request that has no answer yet, and close its connection instead of answering."""
        self._answers.append(None)

    def go_silent(self) -> None:
        """Read requests and never answer."""
        self._silent = True

    def drip(self) -> None:
        """Begin every answer, and go on with it so slowly that it never ends before `speak()`."""
        self._dripping = True

    def speak(self) -> None:
        """End the silence, and the answers that drip."""
        self._speak.set()

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS on connections from now on."""
        self._server.context = context

    def wait_for_requests(self, count: int) -> None:
        """Return when that many requests have arrived."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.requests) >= count, SECONDS)
            assert arrived, f"{len(self.requests)} of {count} requests arrived"

    def take(self, request: Request) -> Answer | None:
        """Note a request and find its answer; None is to hang up."""
        with self._changed:
            self.requests.append(request)
            answer = self._answers.pop(0) if self._answers else self.respond(request)
            self._changed.notify_all()
        if self._silent:
            self._speak.wait(SECONDS)
            return None
        return answer

    def respond(self, request: Request) -> Answer:
        """Answer a request that no answer was laid out for; one at a time."""
        return Answer()

    def drips(self) -> Iterator[bytes]:
        """Yield what comes before the end of an answer."""
        while self._dripping and not self._speak.wait(0.05):
            yield b"X-Drip: 1\r\n"

    def opened(self) -> None:
        """Count a connection."""
        with self._changed:
            self.connections += 1

    def __enter__(self) -> Self:
        self._server = _Server(self, self._port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speak.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    context: ssl.SSLContext | None = None

    def __init__(self, loopback: Loopback, port: int) -> None:
        self.loopback = loopback
        super().__init__(("127.0.0.1", port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection."""
        if self.context is None:
            super().finish_request(request, client_address)
            return
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that go away, which is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SECONDS
    server: _Server

    def setup(self) -> None:
        self.server.loopback.opened()
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(
            self.command, self.requestline.split()[1], body, dict(self.headers), self.client_address
        )
        answer = self.server.loopback.take(request)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.flush_headers()
        for drip in self.server.loopback.drips():
            self.wfile.write(drip)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST  # noqa: N815 - the name is the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
