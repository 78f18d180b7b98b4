"""The native server from start to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from broadcaster.cluster.group import Group
from broadcaster.errors import ConfigurationError
from broadcaster.messages import Message
from broadcaster.protocol.codes import Code
from broadcaster.server.admin import Admin
from broadcaster.server.apps import App, Apps
from broadcaster.server.bounds import Bounds
from broadcaster.server.codec import deflate_frame, encode_frame
from broadcaster.server.drain import send_away
from broadcaster.server.histogram import Histogram
from broadcaster.server.http import HttpConnection
from broadcaster.server.listening import Listening
from broadcaster.server.native import NativeShell
from broadcaster.server.node import Node
from broadcaster.server.outbox import Flusher, gather
from broadcaster.server.proxies import Proxies
from broadcaster.server.requests import Requests, Trace
from broadcaster.server.tls import Tls
from broadcaster.server.transports import Transports
from broadcaster.signing import Credentials

__all__ = ["Server", "new_event_loop"]

_logger = logging.getLogger("broadcaster.server")

_BACKLOG = 4_096
_MOMENT = 0.05
_LATENESS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop, or asyncio's own loop where uvloop does not exist."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Server:
    """Serves *apps* on one port of the running event loop; port 0 takes any free one.

    *bounds* are those of every connection. *tls* makes it `wss://`; *proxies* tell on whose behalf they
    connect. Webhooks wait in the SQLite file *webhook_buffer*, which survives the process, or in memory.
    Other nodes are in the *group*. *admin* is a port for those who look after it. With *tracing* requests to
    the HTTP API become spans of OpenTelemetry; raises `MissingExtra` without its API.
    *sockets* are those of the port, where somebody else has bound it.
    Where *apps* is a function, it is asked again by `reload()`, and every *reload_seconds* unless that is 0.
    An async context manager; it satisfies the `local` driver, so a `BroadcastManager(server=...)` can
    publish on it without a hop.
    """

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        apps: Apps,
        *,
        host: str = "127.0.0.1",
        port: int = 6001,
        bounds: Bounds | None = None,
        reload_seconds: float = 0,
        tls: Tls | None = None,
        proxies: Proxies | None = None,
        webhook_buffer: Path | None = None,
        group: Group | None = None,
        admin: Admin | None = None,
        tracing: bool = False,
        sockets: Iterable[socket.socket] = (),
    ) -> None:
        self._proxies = proxies or Proxies()
        if tls is not None and self._proxies.protocol:
            raise ConfigurationError("with the PROXY protocol TLS is the proxy's: leave out the certificate")
        self._listening = Listening(host, port, sockets)
        self._bounds = bounds or Bounds()
        self._node = Node(
            apps,
            encode=encode_frame,
            deflate=deflate_frame,
            gather=gather,
            webhook_buffer=webhook_buffer,
            group=group,
            requests=Requests(_trace() if tracing else None),
        )
        self.admin = admin
        self._lateness = Histogram(_LATENESS)
        self._transports: Transports
        self._flusher: Flusher
        self._ticker: asyncio.Task[None] | None = None
        self._reload_seconds = reload_seconds
        self._tls = tls
        self._reloader: asyncio.Task[None] | None = None

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._listening.host

    @property
    def port(self) -> int:
        """The port it listens on; once it has started never 0."""
        return self._listening.port

    @property
    def url(self) -> str:
        """The address, as a browser would write it."""
        return f"{'http' if self._tls is None else 'https'}://{self._listening.address}"

    @property
    def is_ready(self) -> bool:
        """Whether `/readyz` says so: it is not stopping, and hears the other nodes."""
        return self._node.health("/readyz").status == 200

    @property
    def apps(self) -> list[App]:
        """The applications that it serves at present."""
        return list(self._node.apps)

    @property
    def connection_count(self) -> int:
        """How many WebSocket connections are open."""
        return self._node.connection_count

    @property
    def credentials(self) -> Credentials:
        """The key and the secret of the first application, which `publish()` publishes for."""
        return self._node.credentials

    def publish(self, message: Message) -> Future[None]:
        """Push *message* to its subscribers; callable from any thread."""
        return self._node.publish(message)

    async def reload(self) -> bool:
        """Find the applications anew, and the certificate; connections to applications that stay do too.

        What keeps it from that is logged, and nothing changes. Return whether it went well.
        """
        try:
            if self._tls is not None:
                self._tls.reload()
            await self._node.areload()
        except ConfigurationError as error:
            _logger.error("everything stays as it is: %s", error)  # noqa: TRY400 - it says all
            return False
        except Exception:
            _logger.exception("everything stays as it is")
            return False
        _logger.info("applications reloaded: %s", ", ".join(app.id for app in self._node.apps))
        return True

    async def start(self) -> None:
        """Listen; raise `ConfigurationError` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        if self.admin is not None:
            await self.admin.open(self._node, self._lateness)
        self._transports = Transports(loop)
        self._flusher = Flusher(loop.call_soon)
        shell = NativeShell(
            self._node,
            self._transports,
            self._flusher,
            bounds=self._bounds,
            proxies=self._proxies,
        )
        try:
            await self._listening.open(
                shell,
                backlog=_BACKLOG,
                ssl=None if self._tls is None else self._tls.context,
                ssl_handshake_timeout=None if self._tls is None else self._bounds.tls_seconds,
            )
        except ConfigurationError:
            if self.admin is not None:
                await self.admin.aclose()
            raise
        self._node.open()
        self._ticker = loop.create_task(self._tick(), name="broadcaster-tick")
        if self._reload_seconds:
            self._reloader = loop.create_task(self._reload_often(), name="broadcaster-reload")

    async def stop(self, grace: float = 5.0, *, drain: float | None = None) -> None:
        """Stop listening, close every connection, and wait up to *grace* seconds for them.

        They are closed at once, with 4100, by which they come back after a second. Where others serve the
        same address, *drain* is over how many of these seconds clients are sent to them: closed with 4200, by
        which they come back at once.
        """
        if self._ticker is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        self._node.draining = self._transports.ending = True
        if drain is None:
            self._listening.close()
            # Not 4200: a pusher-js that finds the port closed waits 15 seconds before it tries again.
            self._node.close(Code.BACK_OFF)
        else:
            # Whoever waits to be accepted would be reset.
            await asyncio.sleep(_MOMENT)
            self._listening.close()
            await self._drain(max(0.0, min(drain, grace - _reserve(grace)) - _MOMENT))
            self._node.close(Code.RECONNECT)
        self._flusher()
        self._transports.close_all(HttpConnection)
        await self._transports.wait_until_lost(max(0.0, end - loop.time() - _reserve(grace)))
        await self._node.finish(end - loop.time())
        tasks = [task for task in (self._ticker, self._reloader) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.admin is not None:
            await self.admin.aclose()
        self._ticker = self._reloader = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _drain(self, seconds: float) -> None:
        """Send clients away; those of the HTTP API have as long to say what they have to say."""
        end = asyncio.get_running_loop().time() + seconds
        await send_away(self._node, seconds)
        await self._transports.are_lost_within(max(0.0, end - asyncio.get_running_loop().time()))

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 1.0
            await asyncio.sleep(1.0)
            self._lateness.observe(max(0.0, loop.time() - due))
            self._transports.enforce()
            self._node.tick()
            if self.admin is not None:
                self.admin.tick()

    async def _reload_often(self) -> None:
        while True:
            await asyncio.sleep(self._reload_seconds)
            await self.reload()


def _reserve(grace: float) -> float:
    """Return how much of *grace* is kept for what other nodes and webhooks are still to be told."""
    return min(1.0, grace / 5)


def _trace() -> Trace:
    # Only who wants spans needs OpenTelemetry.
    from broadcaster.server.tracing import traced

    return traced
