"""Scripted conversations: a real hub, and clients that write down what reaches them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeAlias

from broadcaster.protocol.api import ApiRequest
from broadcaster.protocol.app import App
from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import (
    Effect,
    HangUp,
    Join,
    Keep,
    Leave,
    Miss,
    Notify,
    Probe,
    Push,
    Recall,
    Record,
    Relay,
    Report,
    Terminate,
)
from broadcaster.protocol.hub import Hub
from broadcaster.protocol.limits import Limits
from broadcaster.signing import Credentials, body_digest

__all__ = ["APP", "CREDENTIALS", "Client", "Conversation", "Frame", "channel_auth", "data_of", "signed"]

# The pair that Pusher's own pages use, and with them every vector in these tests.
CREDENTIALS = Credentials("278d425bdf160c739803", "7ad3773142a6692b25b8")


APP = App("1", CREDENTIALS.key, CREDENTIALS.secret)


def channel_auth(socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """Sign whatever is given, as an application would that checks nothing."""
    parts = [socket_id, channel] if channel_data is None else [socket_id, channel, channel_data]
    return f"{CREDENTIALS.key}:{CREDENTIALS.signature(':'.join(parts))}"


Frame: TypeAlias = dict[str, Any]


class Client:
    """The far end of one connection: it says things, and keeps what the hub sends.

    Each frame it gets must be one that every client library can read, and none may come after the close.
    """

    def __init__(self, conversation: Conversation, socket_id: str) -> None:
        self.connection = Connection(socket_id, self)
        self.socket_id = socket_id
        self.closed_with: int | None = None
        self.probes = 0
        self.texts: list[str] = []
        self._conversation = conversation
        self._unread: list[Frame] = []
        self._gone = False

    deflated = False

    def write(self, payload: str) -> None:
        """Take a frame; this is the hub's side of the wire."""
        assert self.closed_with is None, f"pushed after the close: {payload}"
        assert not self._gone, f"pushed to a connection that is gone: {payload}"
        self.texts.append(payload)
        frame = json.loads(payload)
        assert isinstance(frame["event"], str)
        assert isinstance(frame["data"], dict if frame["event"] == "pusher:error" else str), payload
        self._unread.append(frame)

    def probe(self) -> None:
        """Take a WebSocket ping; this is the hub's side of the wire."""
        assert self.closed_with is None
        self.probes += 1

    def hang_up(self, code: int, reason: str) -> None:
        """Take a close frame; this is the hub's side of the wire."""
        assert self.closed_with is None, "closed twice"
        assert reason
        assert len(reason.encode()) <= 123, "a close frame has no room for more"
        self.closed_with = code

    def take(self) -> list[Frame]:
        """Return the frames that came since the last call."""
        frames, self._unread = self._unread, []
        return frames

    def sends(self, text: str) -> list[Frame]:
        """Send one text frame as it is; return what comes back."""
        conversation = self._conversation
        conversation.perform(conversation.hub.received(self.connection, text, conversation.now))
        return self.take()

    def says(self, event: str, data: object, **more: object) -> list[Frame]:
        """Send an event as pusher-js writes it; return what comes back."""
        return self.sends(json.dumps({"event": event, "data": data, **more}))

    def subscribes(
        self,
        channel: str,
        *,
        auth: str | None = None,
        channel_data: str | None = None,
        last_id: str | None = None,
    ) -> list[Frame]:
        """Subscribe; *auth* None means the signature that the application would give."""
        data = {"channel": channel, "auth": auth}
        if auth is None:
            data["auth"] = channel_auth(self.socket_id, channel, channel_data)
        if channel_data is not None:
            data["channel_data"] = channel_data
        if last_id is not None:
            data["last_id"] = last_id
        return self.says("pusher:subscribe", data)

    def joins(self, channel: str, user_id: str, info: object = None) -> list[Frame]:
        """Subscribe to a presence channel as *user_id*."""
        member = {"user_id": user_id} if info is None else {"user_id": user_id, "user_info": info}
        return self.subscribes(channel, channel_data=json.dumps(member))

    def unsubscribes(self, channel: str) -> list[Frame]:
        """Leave a channel."""
        return self.says("pusher:unsubscribe", {"channel": channel})

    def signs_in(self, user_id: str, *, auth: str | None = None, **more: object) -> list[Frame]:
        """Sign in; *auth* None means the signature that the application would give."""
        user_data = json.dumps({"id": user_id, **more})
        auth = CREDENTIALS.user_auth(self.socket_id, user_data) if auth is None else auth
        return self.says("pusher:signin", {"auth": auth, "user_data": user_data})

    def whispers(self, channel: str, name: str = "client-typing", data: object = None) -> list[Frame]:
        """Send a client event."""
        return self.says(name, {} if data is None else data, channel=channel)

    def sends_control_frame(self) -> None:
        """Answer a WebSocket ping, or send one: the hub sees no text, only that the client lives."""
        self.connection.touch(self._conversation.now)

    def disconnects(self) -> None:
        """Go away; harmless when repeated."""
        self._gone = True
        self._conversation.perform(self._conversation.hub.disconnected(self.connection))


class Conversation:
    """A hub and a clock, on which clients connect."""

    def __init__(self, limits: Limits | None = None, *, peers: bool = False, **options: Any) -> None:
        """*options* are those of the application; with *peers* the hub has other nodes beside it."""
        self.hub = Hub(replace(APP, limits=limits or Limits(), **options), peers=peers)
        self.outside: list[Join | Leave | Relay | Terminate] = []
        """What is for the bus."""
        self.history: list[Record | Miss | Recall] = []
        """What is for the journal."""
        self.reports: list[Report | Keep] = []
        """What is for the roster."""
        self.news: list[Notify] = []
        self.now = 1000.0
        self._connected = 0

    def connects(self, socket_id: str | None = None) -> Client:
        """Connect a client; its first frame is not read yet."""
        self._connected += 1
        client = Client(self, socket_id or f"{self._connected}.{self._connected}")
        self.perform(self.hub.connected(client.connection, self.now))
        return client

    def joined(self, channel: str, *user_ids: str) -> list[Client]:
        """Connect a client for each user, and have it join *channel* as that user; nothing is unread."""
        clients = [self.connects() for _ in user_ids]
        for client, user_id in zip(clients, user_ids, strict=True):
            client.joins(channel, user_id)
        return self.silence(clients)

    def subscribed(self, channel: str, count: int) -> list[Client]:
        """Connect *count* clients that are subscribed to *channel*; nothing is unread."""
        clients = [self.connects() for _ in range(count)]
        for client in clients:
            client.subscribes(channel)
        return self.silence(clients)

    def silence(self, clients: Iterable[Client]) -> list[Client]:
        """Have *clients* read what came so far."""
        clients = list(clients)
        for client in clients:
            client.take()
        return clients

    def broadcast(
        self, channel: str, data: str = "{}", *, name: str = "news", except_socket: str | None = None
    ) -> None:
        """Push an event of the application."""
        self.perform(self.hub.broadcast(name, [channel], data, except_socket=except_socket))

    def passes(self, seconds: float) -> None:
        """Let *seconds* pass at once, then tick."""
        self.now += seconds
        self.perform(self.hub.tick(self.now))

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carry effects out, in order, as a shell does."""
        for effect in effects:
            match effect:
                case Push():
                    self._push(effect)
                case HangUp(connection, code, reason):
                    connection.wire.hang_up(code, reason)
                case Probe(connection):
                    connection.wire.probe()
                case Notify():
                    self.news.append(effect)
                case Join() | Leave() | Relay() | Terminate():
                    self.outside.append(effect)
                case Report() | Keep():
                    self.reports.append(effect)
                case Record() | Miss() | Recall():
                    self.history.append(effect)

    def _push(self, push: Push) -> None:
        for connection in push.to:
            if connection is not push.without:
                connection.wire.write(push.text)


def data_of(frame: Frame) -> Any:
    """Return what the `data` string of a frame holds."""
    return json.loads(frame["data"])


def signed(
    method: str,
    path: str,
    *,
    query: Iterable[tuple[str, str]] = (),
    body: object = b"",
    now: int = 1_700_000_000,
    credentials: Credentials = CREDENTIALS,
) -> ApiRequest:
    """Sign a request of the HTTP API as the server SDKs do; a *body* that is not bytes becomes JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    params = [
        ("auth_key", credentials.key),
        ("auth_timestamp", str(now)),
        ("auth_version", "1.0"),
        *([("body_md5", body_digest(raw))] if raw else []),
        *query,
    ]
    signature = credentials.request_signature(method, path, params)
    return ApiRequest(method, path, [*params, ("auth_signature", signature)], raw)
