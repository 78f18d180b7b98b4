"""A strict stand-in for Pusher's own server: checks what it gets by code of its own, and keeps the events.

Nothing in here comes from the package or from the SDK: the stub is proven by published vectors alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

from tests.drivers.loopback import Answer, Loopback, Request

__all__ = ["Event", "PusherStub", "Refused", "signature", "verify"]

CHANNEL = re.compile(r"(#server-to-user-.+|[-a-zA-Z0-9_=@,.;]+)")
SOCKET_ID = re.compile(r"\d+\.\d+", re.ASCII)
SECONDS = 10.0


class Refused(Exception):
    """What the server does not take, with the status of the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Event:
    """One event on one channel, as it was taken."""

    name: str
    channel: str
    data: str
    socket_id: str | None
    message_id: str | None


class PusherStub(Loopback):
    """Takes the events of one application; GET requests find what `state` says, by path and info."""

    def __init__(self, *, app_id: str, key: str, secret: str, below: str = "") -> None:
        super().__init__()
        self._root = f"{below}/apps/{app_id}"
        self._below = below
        self._key, self._secret = key, secret
        self.events: list[Event] = []
        self.posts: list[tuple[str, Any]] = []
        self.state: dict[str, Any] = {}
        self._changed = threading.Condition()

    def respond(self, request: Request) -> Answer:
        """Verify, then do, one request."""
        try:
            path, params = verify(
                request.method, request.target, request.body, secret=self._secret, below=self._below
            )
            return self._done(request, path, params)
        except Refused as refused:
            return Answer(refused.status, f"{refused.reason}\n".encode())

    def wait_for_events(self, count: int) -> list[Event]:
        """Return all events, when there are that many."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.events) >= count, SECONDS)
            assert arrived, f"{len(self.events)} of {count} events arrived"
            return list(self.events)

    def _done(self, request: Request, path: str, params: Mapping[str, str]) -> Answer:
        if params["auth_key"] != self._key:
            raise Refused(401, f"unknown auth_key {params['auth_key']}")
        root, _, rest = path.partition(f"{self._root.removeprefix(self._below)}/")
        if root or not rest:
            raise Refused(404, "unknown application")
        if request.method == "GET":
            return Answer(200, json.dumps(self.state.get(rest, {})).encode())
        if request.headers["Content-Type"] != "application/json":
            raise Refused(400, "this is no JSON")
        body = json.loads(request.body)
        self.posts.append((rest, body))
        ids = request.headers.get("X-Idempotency-Key", "").split(",")
        if rest == "events":
            return self._take([body], ids)
        if rest == "batch_events":
            return self._take_batch(body["batch"], ids)
        if re.fullmatch(r"users/.+/terminate_connections", rest, re.DOTALL):
            return Answer()
        raise Refused(404, "no such route")

    def _take_batch(self, batch: Sequence[Any], ids: Sequence[str]) -> Answer:
        if not 1 <= len(batch) <= 10:
            raise Refused(400, f"{len(batch)} events in a batch")
        if any("channels" in event or not isinstance(event["channel"], str) for event in batch):
            raise Refused(400, "an event of a batch has one channel")
        return self._take(batch, ids)

    def _take(self, events: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Answer:
        if len(ids) != len(events):
            raise Refused(400, f"{len(ids)} ids for {len(events)} events")
        taken = [found for event, id_ in zip(events, ids, strict=True) for found in read(event, id_ or None)]
        with self._changed:
            self.events += taken
            self._changed.notify_all()
        info = next((event["info"] for event in events if "info" in event), None)
        answer = {"channels": {event.channel: {"asked": info} for event in taken}} if info else {}
        return Answer(200, json.dumps(answer).encode())


def read(event: Mapping[str, Any], message_id: str | None) -> list[Event]:
    """Check one event as the reference of the HTTP API says, and return it for each of its channels."""
    channels = event.get("channels") or [event["channel"]]
    name, data, socket_id = event["name"], event["data"], event.get("socket_id")
    if unknown := event.keys() - {"name", "data", "channel", "channels", "socket_id", "info"}:
        raise Refused(400, f"unknown fields {unknown}")
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise Refused(400, "invalid event name")
    if not isinstance(data, str):
        raise Refused(400, "data must be a string")
    if len(data.encode()) > 10_240:
        raise Refused(413, "The data content of this event exceeds the allowed maximum (10240 bytes).")
    if not 1 <= len(channels) <= 100 or len(set(channels)) < len(channels):
        raise Refused(400, f"{len(channels)} channels")
    if len(channels) > 1 and any(channel.startswith("private-encrypted-") for channel in channels):
        raise Refused(400, "an encrypted channel goes alone")
    if not all(CHANNEL.fullmatch(channel) and len(channel) <= 216 for channel in channels):
        raise Refused(400, "invalid channel name")
    if socket_id is not None and not SOCKET_ID.fullmatch(socket_id):
        raise Refused(400, "invalid socket id")
    return [Event(name, channel, data, socket_id, message_id) for channel in channels]


def verify(
    method: str, target: str, body: bytes, *, secret: str, now: float | None = None, below: str = ""
) -> tuple[str, dict[str, str]]:
    """Return the decoded path and query of a request; raise `Refused` unless it is signed as it should.

    *target* is the raw text of the request line, *below* the part of its path that is not signed.
    """
    path, _, query = target.partition("?")
    params = {unquote_plus(k): unquote_plus(v) for k, _, v in (p.partition("=") for p in query.split("&"))}
    if len(params) != query.count("&") + 1:
        raise Refused(401, "a parameter is given twice")
    given = params.pop("auth_signature", "")
    if params.get("auth_version") != "1.0" or "auth_key" not in params:
        raise Refused(401, "auth_key or auth_version is missing")
    if not abs((time.time() if now is None else now) - float(params.get("auth_timestamp", "nan"))) <= 600:
        raise Refused(401, "Timestamp expired")
    if (hashlib.md5(body).hexdigest() if body else None) != params.get("body_md5"):
        raise Refused(401, "body_md5 does not match the body")
    path = unquote(path.removeprefix(below))
    if not hmac.compare_digest(signature(secret, method, path, params).encode(), given.encode()):
        text = to_sign(method, path, params).replace("\n", "\\n")
        raise Refused(
            401, f'Invalid signature: you should have sent HmacSHA256Hex("{text}", your_secret_key), but you '
            f'sent "{given}"'
        )  # fmt: skip
    return path, params


def signature(secret: str, method: str, path: str, params: Mapping[str, str]) -> str:
    """Return the signature of decoded *params*."""
    return hmac.new(secret.encode(), to_sign(method, path, params).encode(), hashlib.sha256).hexdigest()


def to_sign(method: str, path: str, params: Mapping[str, str]) -> str:
    """Return the text that is signed."""
    return "\n".join(
        [method, path, "&".join(f"{k.lower()}={params[k]}" for k in sorted(params, key=str.lower))]
    )
