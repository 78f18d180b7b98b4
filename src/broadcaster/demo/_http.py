"""HTTP around the demo's application: a thread for each connection, on this machine only."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import Any

from broadcaster import ConfigurationError
from broadcaster.demo.app import Application, Request, Response

__all__ = ["HOSTS", "serving"]

HOSTS = ("127.0.0.1", "localhost")
MAX_BODY = 16 * 1024

_logger = logging.getLogger("broadcaster.demo")


@contextmanager
def serving(application: Application, *, port: int) -> Iterator[int]:
    """Serve *application* in the background; yield the port, which the system chooses when *port* is 0.

    Raises `ConfigurationError` when the port cannot be had.
    """
    try:
        server = _Server(("127.0.0.1", port), partial(_Handler, application))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"cannot serve the demo's page on port {port}: {reason}") from error
    with server:
        thread = Thread(target=server.serve_forever, args=(0.05,), name="broadcaster-demo", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(5)


class _Server(ThreadingMixIn, TCPServer):
    # Not `http.server.ThreadingHTTPServer`: that one asks the DNS for our name before it listens.
    allow_reuse_address = sys.platform != "win32"  # there it would share a port that is in use
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):  # a browser that went away is no error
            _logger.error("a request failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that a connection may be silent
    disable_nagle_algorithm = True

    def __init__(self, application: Application, *connection: Any) -> None:
        self._application = application
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._answer(self._response(b""))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            self._refuse(411, "say how long the body is, in a Content-Length")
        elif len(length) > 9 or int(length) > MAX_BODY:
            self._refuse(413, f"a body has at most {MAX_BODY} bytes")
        else:
            self._answer(self._response(self.rfile.read(int(length))))

    def version_string(self) -> str:
        return "broadcaster-demo"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        _logger.debug(format, *args)

    def _response(self, body: bytes) -> Response:
        # Another site may point a name of its own at this machine, but a browser will send that name here.
        if self.headers.get("Host", "").partition(":")[0] not in HOSTS:
            return _problem(403, f"the demo answers to {' and '.join(HOSTS)} only")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self._application.respond(Request(self.command, self.path.partition("?")[0], headers, body))

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True  # what follows on it is a body that nobody has read
        self._answer(_problem(status, reason))

    def _answer(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _policy(self._application.port))
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.body)


def _policy(port: int) -> str:
    sockets = " ".join(f"ws://{host}:{port}" for host in HOSTS)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _problem(status: int, reason: str) -> Response:
    return Response(status, json.dumps({"error": reason}).encode())
