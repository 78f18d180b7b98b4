"""What every example of a chat room does, shown over real HTTP and on a real server; and how long it is."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from broadcaster.server import ServerThread
from broadcaster.signing import Credentials
from tests.server.clients import APP, SECONDS, Client, client

__all__ = ["EXAMPLES", "ChatContract", "user_code"]

EXAMPLES = Path(__file__).parents[2] / "examples"
CREDENTIALS = Credentials(APP.key, APP.secret)
LOBBY = "presence-rooms.lobby"
MOST_LINES = 25
WIRING = {"application", "settings", "urlpatterns"}
"""What a single file of Django needs to be a project: a project of its own has it in other files."""


class ChatContract(ABC):
    """Subclass it: *example* is the file, and `serve()` serves it, with the environment as it is."""

    example: str

    @abstractmethod
    def serve(self) -> AbstractContextManager[str]:
        """Serve the example while the block lasts; the value is its URL."""

    @pytest.fixture
    def server(self) -> Iterator[ServerThread]:
        """The server that the example publishes on, and browsers connect to."""
        with ServerThread([APP], port=0) as server:
            yield server

    @pytest.fixture
    def url(self, server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        where = {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": str(server.port), "PUSHER_SCHEME": "http"}
        keys = {"PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}
        for name, value in {"BROADCAST_DRIVER": "pusher", **where, **keys}.items():
            monkeypatch.setenv(name, value)
        with self.serve() as url:
            yield url

    @pytest.fixture
    def ann(self, url: str) -> Iterator[httpx.Client]:
        """The browser of somebody who is signed in."""
        with httpx.Client(base_url=url, timeout=SECONDS) as http:
            http.post("/login", data={"name": "ann"}).raise_for_status()
            yield http

    def test_a_room_is_joined_by_whoever_is_signed_in(self, ann: httpx.Client, url: str) -> None:
        question = {"socket_id": "1.2", "channel_name": LOBBY}

        answer = ann.post("/broadcasting/auth", data=question)

        data = '{"user_id":"ann","user_info":{"name":"ann"}}'
        assert answer.json() == {"auth": CREDENTIALS.channel_auth("1.2", LOBBY, data), "channel_data": data}
        assert httpx.post(f"{url}/broadcasting/auth", data=question).status_code == 403

    @pytest.mark.parametrize(("channel", "status"), [("private-users.ann", 200), ("private-users.bob", 403)])
    def test_a_channel_of_one_user_is_for_that_user(
        self, ann: httpx.Client, channel: str, status: int
    ) -> None:
        answer = ann.post("/broadcasting/auth", data={"socket_id": "1.2", "channel_name": channel})

        assert answer.status_code == status

    def test_a_user_signs_in(self, ann: httpx.Client) -> None:
        answer = ann.post("/broadcasting/user-auth", data={"socket_id": "1.2"})

        assert answer.json()["user_data"] == '{"id":"ann"}'

    def test_what_is_said_reaches_others_and_not_the_one_who_said_it(
        self, ann: httpx.Client, server: ServerThread
    ) -> None:
        with client(server.port) as own, client(server.port) as other:
            for browser in (own, other):
                _join(browser, ann)

            for text, headers in (("to others", {"X-Socket-ID": own.socket_id}), ("to all", {})):
                ann.post("/say", data={"text": text}, headers=headers).raise_for_status()

            heard = [other.receive()["data"] for _ in range(2)]
            alone = own.receive()["data"]
        assert heard == ['{"by":"ann","text":"to others"}', '{"by":"ann","text":"to all"}']
        assert alone == '{"by":"ann","text":"to all"}'

    def test_it_is_short(self) -> None:
        assert len(user_code((EXAMPLES / self.example).read_text())) <= MOST_LINES


def user_code(source: str) -> list[str]:
    """Return the lines that a user writes: no blank ones, docstrings, comments, imports, nor wiring."""
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node) or _names(node) & WIRING:
            left_out.update(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return [line for number, line in lines if number not in left_out and line.split("#")[0].strip()]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(node: ast.stmt) -> set[str]:
    """Return what a statement sets, or calls a method of."""
    match node:
        case ast.Assign(targets=[ast.Name(name)]):
            return {name}
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(name)))):
            return {name}
    return set()


def _join(browser: Client, http: httpx.Client) -> None:
    question = {"socket_id": browser.socket_id, "channel_name": LOBBY}
    leave = http.post("/broadcasting/auth", data=question).json()
    browser.send("pusher:subscribe", data={"channel": LOBBY, **leave})
    assert browser.receive()["event"] == "pusher_internal:subscription_succeeded"
