"""Runs the Python blocks of README.md and of the pages in docs/: `pytest docs README.md`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import uvicorn
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from websockets.sync.client import ClientConnection, connect

PREFIXES = ("BROADCAST_", "PUSHER_", "REDIS_", "ABLY_")
SECONDS = 10.0


@pytest.fixture(scope="module")
def clean_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a page an empty folder and an environment that says nothing about drivers."""
    here, room = Path.cwd(), tmp_path_factory.mktemp("page")
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith(PREFIXES)]:
            del os.environ[name]
        os.chdir(room)
        yield room
        os.chdir(here)


@pytest.fixture(scope="session")
def serving() -> object:
    """Run an ASGI application while a block lasts; the value is its port."""
    return _serving


@pytest.fixture(scope="session")
def listening() -> object:
    """Subscribe to a channel of a port while a block lasts; the value is a `Window`."""
    return _listening


class Window:
    """One browser window: its socket id, and the frames that reach it."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self.socket_id: str = self.next()["data"]["socket_id"]

    def next(self) -> dict[str, Any]:
        """Wait for the next frame; its data is decoded."""
        frame = json.loads(self._websocket.recv(SECONDS))
        return {**frame, "data": json.loads(frame["data"])}

    def subscribe(self, channel: str, **auth: str) -> None:
        """Join *channel*, and wait until that is so."""
        self._websocket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel, **auth}}))
        answer = self.next()
        if answer["event"] != "pusher_internal:subscription_succeeded":
            raise PermissionError(answer)


@contextmanager
def _serving(app: Any) -> Iterator[int]:
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        if not started.wait(SECONDS):
            raise TimeoutError("the application did not start")
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(SECONDS)


@contextmanager
def _listening(port: int, channel: str, *, path: str = "", **auth: str) -> Iterator[Window]:
    with connect(f"ws://127.0.0.1:{port}{path}/app/app-key?protocol=7", proxy=None) as websocket:
        window = Window(websocket)
        window.subscribe(channel, **auth)
        yield window


def _kept_as(name: str) -> Callable[[Example], None]:
    """Keep a block as the file that the Python below it reads."""

    def keep(example: Example) -> None:
        Path(name).write_text(example.parsed, "utf-8")

    return keep


def _name_page(namespace: dict[str, Any]) -> None:
    """Let a page be a module, whose functions a framework may ask for their module."""
    namespace["__name__"] = "page"

    class Page(ModuleType):
        __dict__ = namespace

    sys.modules["page"] = Page("page")


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser("toml", _kept_as("broadcast.toml")),
        CodeBlockParser("html", _kept_as("page.html")),
    ],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=_name_page,
    fixtures=["clean_room", "serving", "listening"],
).pytest()
