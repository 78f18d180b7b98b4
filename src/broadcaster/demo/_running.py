"""The demo put together: an embedded server, a manager that sends through it, and the application."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from broadcaster import BroadcastManager, Settings
from broadcaster.demo._http import serving
from broadcaster.demo.app import Application
from broadcaster.server import App, ServerThread

__all__ = ["Running", "running"]


@dataclass(frozen=True, slots=True)
class Running:
    """Where the demo listens: *port* is the WebSocket server's, *app_port* the application's."""

    key: str
    port: int
    app_port: int

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.app_port}/"

    @property
    def websocket_url(self) -> str:
        """The address that the page connects to."""
        return f"ws://127.0.0.1:{self.port}/app/{self.key}?protocol=7"


@contextmanager
def running(*, port: int = 0, app_port: int = 0) -> Iterator[Running]:
    """Run the demo on this machine until the block ends; a port of 0 is any free one.

    Raises `ConfigurationError` for a port that is taken.
    """
    # There is no login, so whoever could open the page from another machine could write on it.
    app = App(id="demo", key="demo-key", secret=secrets.token_hex(16))
    with (
        ServerThread([app], host="127.0.0.1", port=port) as server,
        BroadcastManager(Settings(default="local"), server=server) as broadcast,
        serving(Application(broadcast, app.credentials, port=server.port), port=app_port) as bound,
    ):
        yield Running(app.key, server.port, bound)
