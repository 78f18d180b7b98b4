"""An application that gets webhooks: a real HTTP server that can be made to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from broadcaster.signing import Credentials
from broadcaster.webhooks import WebhookEvent, read_webhook
from tests.server.clients import CREDENTIALS

SECONDS = 10.0


@dataclass
class Receiver:
    """What came, request by request; the answers are *statuses*, then 200 for ever."""

    url: str
    credentials: Credentials = CREDENTIALS
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: list[list[WebhookEvent]] = field(default_factory=list)
    """The events of each request that was answered with 200."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    hold: threading.Event = field(default_factory=threading.Event)
    """Requests are answered while it is set."""

    @property
    def events(self) -> list[WebhookEvent]:
        return [event for request in self.requests for event in request]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event.name, event.channel) for event in self.events]

    def wait(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, SECONDS), (self.told, self.bodies)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        with self.changed:
            self.bodies.append(body)
            self.headers.append(headers)
            self.changed.notify_all()
        self.hold.wait(SECONDS)
        with self.changed:
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.requests.append(list(read_webhook(body, headers, self.credentials).events))
            self.changed.notify_all()
        return status


@contextmanager
def receiving(port: int = 0, *, credentials: Credentials = CREDENTIALS) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        receiver: ClassVar[Receiver]

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = self.receiver.take(body, dict(self.headers))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    Handler.receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hooks", credentials)
    Handler.receiver.hold.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Handler.receiver
    finally:
        Handler.receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)
