"""The server under test, the application in front of it, and the places where clients run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from .application import Application
from .children import BroadcasterServer
from .group import BroadcasterGroup, Server
from .players import Player
from .players import chromium as chromium_program
from .sdks import MASTER_KEY

SCENARIO_SECONDS = 120
SPARE_SECONDS = 20


class Runtime:
    """A place where clients run: Node, or a browser; one scenario at a time."""

    def __init__(self, application: Application, *command: str) -> None:
        self._application = application
        self._player = Player("run.mjs", *command)

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
            "goodbye": server.goodbye,
            "master_key": MASTER_KEY,
        }
        if failure := self._player.play(job, seconds=SCENARIO_SECONDS + SPARE_SECONDS):
            pytest.fail(f"{scenario}: {failure}\n\nthe server, {server.log}", pytrace=False)

    def close(self) -> None:
        """Let the runtime end by itself."""
        self._player.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--group", action="store_true", help="serve with four nodes behind a load balancer")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.config.getoption("--group"):
        with BroadcasterGroup(tmp_path_factory.mktemp("redis")) as group:
            yield group
        return
    server = BroadcasterServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def application(server: Server) -> Iterator[Application]:
    with Application(server) as application:
        yield application


@pytest.fixture(scope="session")
def node(application: Application) -> Iterator[Runtime]:
    runtime = Runtime(application, "node")
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def chromium(application: Application) -> Iterator[Runtime]:
    runtime = Runtime(application, "chromium", chromium_program())
    yield runtime
    runtime.close()
