"""A server on an event loop of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from broadcaster.cluster.group import Group
from broadcaster.errors import BroadcastError
from broadcaster.messages import Message
from broadcaster.server.admin import Admin
from broadcaster.server.apps import Apps
from broadcaster.server.bounds import Bounds
from broadcaster.server.lifecycle import Server, new_event_loop
from broadcaster.server.proxies import Proxies
from broadcaster.server.tls import Tls
from broadcaster.signing import Credentials

__all__ = ["ServerThread"]

_START_SECONDS = 10.0


class ServerThread:
    """A `Server` beside code that has no event loop: a Flask application, a script, a test.

    A context manager; it satisfies the `local` driver.
    """

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        apps: Apps,
        *,
        host: str = "127.0.0.1",
        port: int = 6001,
        bounds: Bounds | None = None,
        tls: Tls | None = None,
        proxies: Proxies | None = None,
        webhook_buffer: Path | None = None,
        group: Group | None = None,
        admin: Admin | None = None,
        tracing: bool = False,
    ) -> None:
        self._server = Server(
            apps,
            host=host,
            port=port,
            bounds=bounds,
            tls=tls,
            proxies=proxies,
            webhook_buffer=webhook_buffer,
            group=group,
            admin=admin,
            tracing=tracing,
        )
        self._thread: threading.Thread | None = None
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._grace = 5.0

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._server.host

    @property
    def port(self) -> int:
        """The port it listens on; after `start()` never 0."""
        return self._server.port

    @property
    def url(self) -> str:
        """The address, as a browser would write it."""
        return self._server.url

    @property
    def admin(self) -> Admin | None:
        """The port for those who look after it."""
        return self._server.admin

    @property
    def connection_count(self) -> int:
        """How many WebSocket connections are open."""
        return self._server.connection_count

    @property
    def credentials(self) -> Credentials:
        """The key and the secret of the first application, which `publish()` publishes for."""
        return self._server.credentials

    def publish(self, message: Message) -> Future[None]:
        """Push *message* to its subscribers; callable from any thread."""
        return self._server.publish(message)

    def start(self) -> None:
        """Start the thread and return when the server listens; raise what kept it from it."""
        if self._thread is not None:
            raise BroadcastError("the server thread has been started already")
        self._started = Future()
        self._thread = threading.Thread(target=self._run, name="broadcaster-server", daemon=True)
        self._thread.start()
        try:
            self._started.result(_START_SECONDS)
        except BaseException:
            self._thread = None
            raise

    def stop(self, grace: float = 5.0) -> None:
        """Stop the server, wait for its connections up to *grace* seconds, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._grace = grace
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(grace + 5.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:
                if not self._started.done():
                    self._started.set_exception(error)
                else:
                    raise

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._server.start()
        self._started.set_result(None)
        await self._stop.wait()
        await self._server.stop(self._grace)
