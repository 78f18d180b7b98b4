"""The server under test, the application in front of it, and the places where clients run."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .application import Application
from .children import BroadcasterServer, Child

HERE = Path(__file__).parent
SCENARIO_SECONDS = 40
SPARE_SECONDS = 20


class Runtime:
    """A place where clients run: Node, or a browser; one scenario at a time."""

    def __init__(self, application: Application, *command: str) -> None:
        self._application = application
        self._child = Child(_program("node"), str(HERE / "run.mjs"), *command)

    def play(self, scenario: str, *, sdk: str | None = None) -> None:
        """Play *scenario* with the server SDK *sdk* at its hand, if any; fail with what went wrong."""
        server = self._application.server
        job = {
            "scenario": scenario,
            "sdk": sdk,
            "run": secrets.token_hex(4),
            "seconds": SCENARIO_SECONDS,
            "app": self._application.url,
            "host": server.host,
            "port": server.port,
            "app_id": server.app_id,
            "key": server.key,
            "secret": server.secret,
        }
        self._child.say(json.dumps(job))
        outcome = json.loads(self._child.hear(r"^\{.*\}$", seconds=SCENARIO_SECONDS + SPARE_SECONDS)[0])
        if failure := outcome["failure"]:
            pytest.fail(f"{scenario}: {failure}\n\nthe server, {server.log}", pytrace=False)

    def close(self) -> None:
        """Let the runtime end by itself."""
        self._child.end()


@pytest.fixture(scope="session")
def application() -> Iterator[Application]:
    if not (HERE / "node_modules").is_dir():
        pytest.fail(f"the npm packages are missing: run `npm ci` in {HERE}", pytrace=False)
    server = BroadcasterServer()
    try:
        with Application(server) as application:
            yield application
    finally:
        server.stop()


@pytest.fixture(scope="session")
def node(application: Application) -> Iterator[Runtime]:
    runtime = Runtime(application, "node")
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def chromium(application: Application) -> Iterator[Runtime]:
    runtime = Runtime(application, "chromium", _program("chromium", "chromium-browser", "google-chrome"))
    yield runtime
    runtime.close()


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.fail(f"no {' or '.join(names)} on the PATH", pytrace=False)
