"""The demo put together: an embedded server, a manager that sends through it, and the application."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from broadcaster import BroadcastManager, ConfigurationError, Settings
from broadcaster.demo._http import HOSTS, serving
from broadcaster.demo.app import Application
from broadcaster.server import App, ServerThread

__all__ = ["Running", "running"]


@dataclass(frozen=True, slots=True)
class Running:
    """Where the demo listens: *port* is the WebSocket server's, *app_port* the application's."""

    host: str
    key: str
    port: int
    app_port: int

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{self.host}:{self.app_port}/"

    @property
    def websocket_url(self) -> str:
        """The address that the page connects to."""
        return f"ws://{self.host}:{self.port}/app/{self.key}?protocol=7"


@contextmanager
def running(*, host: str = "127.0.0.1", port: int = 0, app_port: int = 0) -> Iterator[Running]:
    """Run the demo until the block ends; a port of 0 is any free one.

    Raises `ConfigurationError` for a port that is taken, and for a *host* other than this machine: there
    is no login, so whoever can open the page may write on it.
    """
    if host not in HOSTS:
        here = " or ".join(HOSTS)
        raise ConfigurationError(f"the demo has no login, so it listens on {here}, not on {host!r}")
    app = App(id="demo", key="demo-key", secret=secrets.token_hex(16))
    with (
        ServerThread([app], host="127.0.0.1", port=port) as server,
        BroadcastManager(Settings(default="local"), server=server) as broadcast,
        serving(Application(broadcast, app.credentials, port=server.port), port=app_port) as bound,
    ):
        yield Running(host, app.key, server.port, bound)
