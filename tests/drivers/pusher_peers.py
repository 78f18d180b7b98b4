"""What the Pusher driver is tested against: a stub, or this package's own server, on a wire that fails."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broadcaster.drivers.pusher import PusherDriver
from broadcaster.server import App, ServerThread
from broadcaster.testing.contracts.drivers import Received
from tests.drivers.proxy import Proxy
from tests.drivers.pusher_stub import PusherStub
from tests.server.audience import Audience

__all__ = ["MASTER_KEY", "ServerPeer", "StubPeer", "running_server", "running_stub"]

MASTER_KEY = base64.b64encode(b"the-master-key-that-nobody-sees!").decode()

_SECRETS = (MASTER_KEY, base64.b64decode(MASTER_KEY).decode())


class Peer:
    """Makes drivers that reach whatever speaks the API behind *proxy*."""

    def __init__(self, proxy: Proxy, **options: Any) -> None:
        self.options = options
        self.secrets = [options["secret"], *_SECRETS]
        self.port = proxy.port
        self.stop, self.start = proxy.stop, proxy.start
        self.stall, self.resume, self.garble = proxy.stall, proxy.resume, proxy.garble

    def driver(
        self, *, timeout: float | None = None, retries: int | None = None, **options: Any
    ) -> PusherDriver:
        """Make a driver; *options* go before those that fit the peer."""
        known = {"host": "127.0.0.1", "port": self.port, "scheme": "http", **self.options, **options}
        if timeout is not None:
            known |= {"connect_timeout": timeout, "read_timeout": timeout}
        if retries is not None:
            known |= {"retries": retries}
        return PusherDriver(**known)


class StubPeer(Peer):
    """The stub, which everybody listens to."""

    socket_id = "12.34"

    def __init__(self, stub: PusherStub, proxy: Proxy, **options: Any) -> None:
        super().__init__(proxy, **options)
        self.stub = stub

    def listen(self, *channels: str) -> None:
        """Nothing to do: the stub takes everything."""

    def received(self, count: int) -> list[Received]:
        """Return what the stub took."""
        return [
            Received(event.name, event.channel, json.loads(event.data), event.socket_id)
            for event in self.stub.wait_for_events(count)
        ]

    def answer(self, status: int, body: str = "", *, retry_after: str | None = None) -> None:
        """Answer the next request so."""
        headers = {} if retry_after is None else {"Retry_After": retry_after}
        self.stub.answer(status, body.encode(), **headers)

    def asked(self) -> int:
        """Return how many requests came."""
        return len(self.stub.requests)


class ServerPeer(Peer):
    """The server of this package, with subscribers."""

    def __init__(self, audience: Audience, proxy: Proxy, **options: Any) -> None:
        super().__init__(proxy, **options)
        self.audience = audience
        self.socket_id = audience.socket_id
        self.listen, self.received = audience.listen, audience.received


@contextmanager
def running_stub() -> Iterator[StubPeer]:
    """Run the stub below a path, for an application whose names have to be percent-encoded."""
    app = {"app_id": "my app/3", "key": "a+key&é", "secret": "the-secret-of-the-stub"}
    with PusherStub(**app, below="/realtime") as stub, Proxy(stub.port) as proxy:
        yield StubPeer(stub, proxy, **app, path="/realtime/", encryption_master_key=MASTER_KEY)


@contextmanager
def running_server(app: App) -> Iterator[ServerPeer]:
    """Run a server with *app*, whose key and secret are those of `tests.server.clients.APP`."""
    with (
        ServerThread([app], port=0) as server,
        Audience(server.port) as audience,
        Proxy(server.port) as proxy,
    ):
        yield ServerPeer(
            audience,
            proxy,
            app_id=app.id,
            key=app.key,
            secret=app.secret,
            encryption_master_key=MASTER_KEY,
        )
