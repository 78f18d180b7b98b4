"""Ably on the loopback interface, as far as its REST reference tells: publishing, batches, tokens, errors.

<https://ably.com/docs/api/rest-api>, <https://ably.com/docs/messages/batch>,
<https://ably.com/docs/pub-sub/advanced#idempotency>, <https://ably.com/docs/platform/errors/codes>.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import pytest
import trustme

__all__ = ["KEY", "AblyStub", "Published", "mac_of", "serving_ably"]

KEY = "xVLyHw.abcdef:a-secret-of-the-application"

SECONDS = 10.0

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True)
class Published:
    """One message, as its subscribers got it; *sender* is the connection that did not."""

    channel: str
    name: str
    data: Any
    id: str
    sender: str | None
    client_id: str | None


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    protocol: str | None


@dataclass(frozen=True)
class _Answer:
    status: int
    content: Any = None
    text: str | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return (json.dumps(self.content) if self.text is None else self.text).encode()


class _RefusedError(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = {
            "message": message,
            "code": code,
            "statusCode": status,
            "href": f"https://help.ably.io/error/{code}",
        }

    @property
    def answer(self) -> _Answer:
        return _Answer(self.status, {"error": self.error})


@contextmanager
def serving_ably(*names: str) -> Iterator[AblyStub]:
    """Run a stub that answers to these host names too, and whose certificate this process trusts."""
    authority = _authority()
    with (
        authority.cert_pem.tempfile() as file,
        pytest.MonkeyPatch.context() as patch,
        AblyStub(authority, *names) as stub,
    ):
        patch.setenv("SSL_CERT_FILE", file)
        for variable in _PROXIES:
            patch.delenv(variable, raising=False)
        yield stub


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


class AblyStub:
    """One application, whose API key is `KEY`; serves HTTPS with a certificate of *authority*."""

    def __init__(self, authority: trustme.CA, *names: str) -> None:
        self.published: list[Published] = []
        self.asked: list[Asked] = []
        self.connections: dict[str, str | None] = {}
        """The clients' connections: by connection key, the id of the client, None for an anonymous one."""
        self.denied: dict[str, tuple[int, int, str]] = {}
        """What publishing on a channel is answered with: status, code, message."""
        self.flat_batches = False
        """Answer a batch as versions of the API before 3 did."""
        self._ids: set[tuple[str, str]] = set()
        self._answers: list[_Answer | None] = []
        self._losing = False
        self._changed = threading.Condition()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        authority.issue_cert("127.0.0.1", *names).configure_cert(self._context)
        self._server = _Server(self, self._context)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._server.server_port

    def wait_for(self, count: int) -> list[Published]:
        """Wait until so many messages are published; return all."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.published) >= count, SECONDS)
            assert arrived, f"{len(self.published)} of {count} messages arrived"
            return list(self.published)

    def refuse(self, status: int, code: int, message: str, *, retry_after: str | None = None) -> None:
        """Answer the next request so, and do nothing else."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        error = {"error": {"message": message, "code": code, "statusCode": status}}
        self._answers.append(_Answer(status, error, headers=headers))

    def interpose(self, status: int, text: str, content_type: str = "text/html") -> None:
        """Answer the next request as something on the way would, which never asked Ably."""
        self._answers.append(_Answer(status, text=text, content_type=content_type))

    def lose_an_answer(self) -> None:
        """Do what the next request says, then end the connection instead of answering."""
        self._losing = True

    def take(self, asked: Asked) -> _Answer | None:
        """Act on a request; None is to end the connection."""
        with self._changed:
            self.asked.append(asked)
            if self._answers:
                return self._answers.pop(0)
            try:
                answer = self._act(asked)
            except _RefusedError as refused:
                answer = refused.answer
            self._changed.notify_all()
            if self._losing:
                self._losing = False
                return None
            return answer

    def _act(self, asked: Asked) -> _Answer:
        if asked.headers.get("Content-Type") != "application/json":
            raise _RefusedError(415, 41500, "unsupported content type")
        if len(asked.body) > 2 * 1024 * 1024:
            raise _RefusedError(413, 41300, "request body too large")
        content = json.loads(asked.body.decode("utf-8", "strict"))
        if token := re.fullmatch(r"/keys/([^/]+)/requestToken", asked.path):
            return self._token(unquote(token[1]), content)
        self._authenticate(asked)
        if channel := re.fullmatch(r"/channels/([^/]+)/messages", asked.path):
            return _Answer(201, self._publish(unquote(channel[1]), content))
        if asked.path == "/messages":
            return self._batch(content, int(asked.headers["X-Ably-Version"].partition(".")[0]))
        raise _RefusedError(404, 40400, f"no such path: {asked.path}")

    def _authenticate(self, asked: Asked) -> None:
        scheme, _, credentials = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            raise _RefusedError(401, 40101, "no credentials")
        if not hmac.compare_digest(base64.b64decode(credentials, validate=True), KEY.encode()):
            raise _RefusedError(401, 40101, "Invalid key in request")

    def _batch(self, content: Any, version: int) -> _Answer:
        specs = content if isinstance(content, list) else [content]
        named = [s["channels"] if isinstance(s["channels"], list) else [s["channels"]] for s in specs]
        if not specs or not all(named):
            raise _RefusedError(400, 40001, "a batch needs a channel")
        if (count := len({channel for channels in named for channel in channels})) > 100:
            text = "Max number of channels permitted in a single bulk publish request (100) exceeded"
            raise _RefusedError(400, 90010, f"{text}: {count}")
        results = [list(self._each(c, s["messages"])) for c, s in zip(named, specs, strict=True)]
        everything = [result for part in results for result in part]
        failures = sum("error" in result for result in everything)
        if self.flat_batches or version < 3:
            if not failures:
                return _Answer(201, everything)
            error = {"message": "Batched response includes errors", "statusCode": 400, "code": 40020}
            return _Answer(400, {"error": error, "batchResponse": everything})
        told = [_summed(part) for part in results]
        return _Answer(201, told if isinstance(content, list) else told[0])

    def _each(self, channels: list[str], messages: Any) -> Iterator[dict[str, Any]]:
        for channel in channels:
            try:
                yield self._publish(channel, messages)
            except _RefusedError as refused:
                yield {"channel": channel, "error": refused.error}

    def _publish(self, channel: str, content: Any) -> dict[str, Any]:
        """Publish one message, or several as one, on a channel: all of them or none."""
        if not channel or channel.startswith(("[", ":")):
            raise _RefusedError(400, 40010, "invalid channel name")
        if channel in self.denied:
            raise _RefusedError(*self.denied[channel])
        messages = content if isinstance(content, list) else [content]
        if sum(len(message.get("data", "").encode()) for message in messages) > 65_536:
            raise _RefusedError(400, 40009, "Maximum message length exceeded")
        for place, message in enumerate(messages):
            self._check(message, place if len(messages) > 1 else None)
        for message in messages:
            if (channel, message["id"]) not in self._ids:
                self._ids.add((channel, message["id"]))
                self.published.append(_received(channel, message))
        return {"channel": channel, "messageId": messages[0]["id"].partition(":")[0]}

    def _check(self, message: dict[str, Any], place: int | None) -> None:
        known = {"name", "data", "encoding", "id", "clientId", "connectionId", "connectionKey", "extras"}
        if unknown := message.keys() - known:
            raise _RefusedError(400, 40001, f"unknown fields: {unknown}")
        if not all(isinstance(value, str) for value in message.values()):
            raise _RefusedError(400, 40001, "a field is no text")
        wanted = r".+" if place is None else rf"[^:]+:{place}"
        if not re.fullmatch(wanted, message.get("id", "")):
            raise _RefusedError(400, 40031, "Client-specified message id is not of the required format")
        key, client = message.get("connectionKey"), message.get("clientId")
        if key is not None and key not in self.connections:
            raise _RefusedError(400, 40006, "Malformed message; invalid connectionId")
        if key is not None and client is not None and self.connections[key] not in {None, client}:
            raise _RefusedError(400, 40012, "Malformed message; mismatched clientId")

    def _token(self, name: str, request: Any) -> _Answer:
        if name != KEY.partition(":")[0] or request.get("keyName") != name:
            raise _RefusedError(401, 40101, "no such key")
        if not hmac.compare_digest(mac_of(request, KEY.partition(":")[2]), request["mac"]):
            raise _RefusedError(401, 40101, "the mac does not match")
        if abs(time.time() * 1000 - request["timestamp"]) > 120_000:
            raise _RefusedError(401, 40104, "Timestamp not current")
        if len(request["nonce"]) < 16 or not self._fresh(request["nonce"]):
            raise _RefusedError(401, 40105, "Nonce value replayed")
        ttl = request.get("ttl", 3_600_000)
        if not isinstance(ttl, int) or not 0 < ttl <= 86_400_000:
            raise _RefusedError(400, 40003, "invalid ttl")
        granted = json.loads(request["capability"])
        if not all(isinstance(operations, list) and operations for operations in granted.values()):
            raise _RefusedError(400, 40001, "a capability lists operations")
        issued = request["timestamp"]
        return _Answer(
            201,
            {
                "token": f"{name.partition('.')[0]}.token",
                "issued": issued,
                "expires": issued + ttl,
                "capability": granted,
                **({"clientId": request["clientId"]} if "clientId" in request else {}),
            },
        )

    def _fresh(self, nonce: str) -> bool:
        fresh = ("nonce", nonce) not in self._ids
        self._ids.add(("nonce", nonce))
        return fresh

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join(SECONDS)


def _summed(results: list[dict[str, Any]]) -> dict[str, Any]:
    failures = sum("error" in result for result in results)
    return {"successCount": len(results) - failures, "failureCount": failures, "results": results}


def mac_of(request: Mapping[str, Any], secret: str) -> str:
    """Return the signature that a token request must have: <https://ably.com/docs/api/token-request-spec>."""
    fields = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
    text = "".join(f"{request.get(name, '')}\n" for name in fields)
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _received(channel: str, message: Mapping[str, str]) -> Published:
    """Undo the encodings, last one first, as a subscriber's SDK does."""
    data: Any = message.get("data")
    for encoding in reversed(message.get("encoding", "").split("/")):
        if encoding == "json":
            data = json.loads(data)
        elif encoding == "base64":
            data = base64.b64decode(data)
        elif encoding:
            raise _RefusedError(400, 40013, f"no such encoding: {encoding}")
    name, key, client = message.get("name", ""), message.get("connectionKey"), message.get("clientId")
    return Published(channel, name, data, message["id"], key, client)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, stub: AblyStub, context: ssl.SSLContext) -> None:
        self.stub = stub
        self._context = context
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection: a client that does not must not delay others."""
        request.settimeout(SECONDS)
        with suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            self._open.add(secured)
            try:
                super().finish_request(secured, client_address)
            finally:
                self._open.discard(secured)

    def hang_up(self) -> None:
        """End every connection."""
        for secured in list(self._open):
            with suppress(OSError):
                secured.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that go away, which is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.requestline.split()[1]
        answer = self.server.stub.take(
            Asked(path, dict(self.headers), body, self.connection.selected_alpn_protocol())
        )
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
