"""One process's share of the work: the hubs of its applications, and the carrying out of effects."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broadcaster.cluster.group import Group
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message
from broadcaster.protocol.api import ApiResponse
from broadcaster.protocol.codes import Code
from broadcaster.protocol.connection import Connection, Wire
from broadcaster.protocol.effects import (
    Effect,
    HangUp,
    Notify,
    Probe,
    Push,
)
from broadcaster.protocol.frames import error
from broadcaster.protocol.handshake import Refusal, Visit, unknown_app
from broadcaster.protocol.hub import Hub
from broadcaster.protocol.subscribers import Audience
from broadcaster.server.apps import App, Apps, check_apps, provider_of
from broadcaster.server.fanout import Fanout
from broadcaster.server.peers import Peers
from broadcaster.server.requests import Requests
from broadcaster.server.session import Session
from broadcaster.signing import Credentials

if TYPE_CHECKING:
    from broadcaster.server.webhooks import Webhooks

__all__ = ["GOING_AWAY", "HEALTH", "Node"]

_logger = logging.getLogger("broadcaster.server")

GOING_AWAY = "Server is going away"
"""Why a server that stops closes connections."""

HEALTH = frozenset({"/livez", "/readyz", "/up"})
"""Where load balancers ask how a node is."""


class Node:
    """The hubs of *apps*; all of it runs on one event loop, except `publish()`.

    *encode* turns the text of a frame into what the shell's wires write; it is called once for each
    message, however many connections get it. So is *deflate*, for the wires that take compressed frames and
    messages that are large enough. *gather* makes one object of the wires of a channel. Webhooks wait in the
    file *webhook_buffer*, or in memory. Other nodes are in the *group*. *requests* counts the HTTP requests
    that it takes.
    """

    def __init__(
        self,
        apps: Apps,
        *,
        encode: Callable[[str], Any],
        deflate: Callable[[str], Any] | None = None,
        gather: Callable[[Audience], Any] | None = None,
        webhook_buffer: Path | None = None,
        group: Group | None = None,
        requests: Requests | None = None,
    ) -> None:
        self.draining = False
        self.refused: Counter[int] = Counter()
        self.requests = requests or Requests()
        self._encode = encode
        self._fanout = Fanout(encode, deflate, gather)
        self._hubs: dict[str, Hub] = {}
        self._keys: dict[str, Hub] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._webhook_buffer = webhook_buffer
        self._webhooks: Webhooks | None = None
        self._peers = None if group is None else Peers(group, first=self._first, perform=self.perform)
        self._find_apps = provider_of(apps)
        self.serve(self._find_apps())

    async def areload(self) -> None:
        """Find the applications anew, in a thread, and serve them from now on; see `serve()`."""
        self.serve(await asyncio.to_thread(self._find_apps))

    def serve(self, apps: Iterable[App]) -> None:
        """Serve *apps* from now on; raise `ConfigurationError`, and change nothing, when that cannot be.

        Connections to an application that is still there stay, whatever else is new about it. Those to one
        that is not are closed with 4001.
        """
        self.apps = check_apps(apps)
        wanted = {app.id: app for app in self.apps}
        for app_id in [app_id for app_id in self._hubs if app_id not in wanted]:
            hub = self._hubs.pop(app_id)
            self.perform(hub, hub.close(Code.UNKNOWN_APP, "The application is not served any more"))
        for app in self.apps:
            if (known := self._hubs.get(app.id)) is None:
                hub = self._hubs[app.id] = Hub(app, epoch=secrets.token_hex(4), peers=self._peers is not None)
                # What it remembers before its first tick would be as old as the clock.
                hub.tick(time.monotonic())
            elif known.app != app:
                known.update(app)
        self._keys = {key: self._hubs[app.id] for app in self.apps for key in app.keyring}
        if self.is_open:
            self._serve_webhooks()
            if self._peers is not None:
                self._peers.serve(self._hubs.values())

    def open(self) -> None:
        """Start on the running event loop."""
        self._serve_webhooks()
        if self._peers is not None:
            self._peers.open(self._hubs.values())
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self.draining = False

    def close(self, code: Code = Code.BACK_OFF) -> None:
        """Hang up on everybody with *code*; 4100 brings clients back after a second."""
        self.draining = True
        for hub in self._hubs.values():
            self.perform(hub, hub.close(code, GOING_AWAY))
        self._loop = None

    async def finish(self, seconds: float) -> None:
        """Tell other nodes and webhooks what is still to be told, for up to *seconds*; after `close()`."""
        webhooks, self._webhooks = self._webhooks, None
        await asyncio.gather(*(part.aclose(seconds) for part in (self._peers, webhooks) if part is not None))

    @property
    def is_open(self) -> bool:
        """Whether the node runs."""
        return self._loop is not None

    @property
    def hubs(self) -> Mapping[str, Hub]:
        """The hub of each application, by its id."""
        return self._hubs

    @property
    def peers(self) -> Peers | None:
        """The other nodes, where there may be some."""
        return self._peers

    @property
    def webhooks(self) -> Webhooks | None:
        """What delivers webhooks, where an application has some."""
        return self._webhooks

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return sum(len(hub.connections) for hub in self._hubs.values())

    def admit(self, key: str, visit: Visit) -> Hub | Refusal:
        """Find the hub of the application that a client asks for."""
        hub = self._keys.get(key)
        return unknown_app(key) if hub is None else hub.refusal(visit) or hub

    def connect(self, hub: Hub, wire: Wire, address: str = "") -> Session:
        """Open a connection on *hub*; its first frame is written before this returns."""
        connection = Connection(_socket_id(taken=hub.connections), wire, address)
        hub.tally.opened += 1
        self.perform(hub, hub.connected(connection, time.monotonic()))
        return Session(self, hub, connection)

    def refuse(self, refusal: Refusal, wire: Wire) -> None:
        """Say why a connection may not open, then close it."""
        self.refused[refusal.code] += 1
        wire.write(self._encode(error(refusal.code, refusal.message)))
        wire.hang_up(refusal.code, refusal.message)
        _logger.info(
            "connection refused with %d: %s", refusal.code, refusal.message, extra={"code": int(refusal.code)}
        )

    @property
    def credentials(self) -> Credentials:
        """The key and the secret of the first application."""
        return self.apps[0].credentials

    def health(self, path: str) -> ApiResponse:
        """Answer one of the paths in `HEALTH`."""
        problem = "draining" if self.draining and path != "/livez" else None
        if path == "/readyz" and self._peers is not None and not self._peers.is_connected:
            problem = problem or "other nodes are not heard"
        return ApiResponse(200, '{"health":"OK"}') if problem is None else ApiResponse(503, problem)

    def publish(self, message: Message) -> Future[None]:
        """Push *message* to its subscribers in the first application; callable from any thread."""
        app = self.apps[0]
        if (size := len(message.data.encode())) > app.limits.data_size:
            reason = f"the data has {size} bytes, {app.limits.data_size} are allowed"
            raise DeliveryError(reason, driver="local", status=413)
        # Read once: the loop's own thread may close the node at any moment.
        loop = self._loop
        if loop is None:
            raise DeliveryError("the server in this process is not running", driver="local", retryable=True)
        future: Future[None] = Future()
        if threading.get_ident() == self._thread:
            self._publish(message, future)
        else:
            try:
                loop.call_soon_threadsafe(self._publish, message, future)
            except RuntimeError as closed:
                raise DeliveryError(
                    "the server in this process has stopped", driver="local", retryable=True
                ) from closed
        return future

    def tick(self) -> None:
        """Look for connections that have fallen silent; call it about once a second."""
        now = time.monotonic()
        for hub in self._hubs.values():
            self.perform(hub, hub.tick(now))
        if self._webhooks is not None:
            self._webhooks.tick(now)

    def perform(self, hub: Hub, effects: Iterable[Effect]) -> None:
        """Carry out what *hub* wants, in order."""
        for effect in effects:
            match effect:
                case Push():
                    self._fanout.push(effect, hub.tally)
                case HangUp(connection, code, reason):
                    connection.wire.hang_up(code, reason)
                case Probe(connection):
                    connection.wire.probe()
                case Notify():
                    if self._webhooks is not None:
                        self._webhooks.tell(hub.app.id, effect, time.monotonic())
                case _ if self._peers is not None:
                    self._peers.carry_out(hub, effect)

    def _first(self) -> str:
        return self.apps[0].id

    def _serve_webhooks(self) -> None:
        if self._webhooks is not None:
            self._webhooks.update(self.apps)
        elif any(app.webhooks for app in self.apps):
            # Only who has webhooks needs their HTTP client.
            from broadcaster.server.webhooks import Webhooks

            self._webhooks = Webhooks(self._webhook_buffer, pauses=self._peers is None)
            self._webhooks.update(self.apps)
            self._webhooks.start()

    def _publish(self, message: Message, future: Future[None]) -> None:
        # Whoever gave up waiting was told that it failed, and may send it again.
        if not future.set_running_or_notify_cancel():
            return
        hub = self._hubs[self.apps[0].id]
        hub.tally.events["local"] += 1
        try:
            self.perform(
                hub,
                hub.broadcast(
                    message.name,
                    message.channels,
                    message.data,
                    except_socket=message.except_socket,
                    message_id=message.id,
                ),
            )
        except BaseException as error:
            future.set_exception(error)
            raise
        future.set_result(None)


def _socket_id(*, taken: Mapping[str, Any]) -> str:
    while True:
        # `randbelow()` asks twice as long for numbers of which none is a few percent likelier than another.
        left, right = divmod(int.from_bytes(secrets.token_bytes(8)) % 10**18, 10**9)
        socket_id = f"{left + 1}.{right + 1}"
        if socket_id not in taken:
            return socket_id
