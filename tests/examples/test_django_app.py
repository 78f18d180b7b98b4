"""The example of Django, in a process of its own, since a process has one Django."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from broadcaster.server import ServerThread
from broadcaster.signing import Credentials
from tests.server.clients import APP, SECONDS, client

EXAMPLES = Path(__file__).parents[2] / "examples"
CREDENTIALS = Credentials(APP.key, APP.secret)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with ServerThread([APP], port=0) as server:
        yield server


@pytest.fixture(scope="module")
def url(server: ServerThread) -> Iterator[str]:
    """Serve the example, which publishes on *server*; the value is its URL."""
    where = {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": str(server.port), "PUSHER_SCHEME": "http"}
    keys = {"PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = f"-m uvicorn --app-dir {EXAMPLES} --fd {listener.fileno()} django_app:application"
        process = subprocess.Popen(
            [sys.executable, *command.split()],
            env=os.environ | where | keys | {"BROADCAST_DRIVER": "pusher"},
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            assert process.poll() is None, "the example has died"
        finally:
            process.terminate()
            process.wait(SECONDS)


@pytest.fixture
def ann(url: str) -> Iterator[httpx.Client]:
    """Return the browser of somebody who is signed in."""
    with httpx.Client(base_url=url, timeout=SECONDS) as http:
        http.post("/login", data={"name": "ann"}).raise_for_status()
        yield http


def test_a_room_is_joined_by_whoever_is_signed_in(ann: httpx.Client, url: str) -> None:
    question = {"socket_id": "1.2", "channel_name": "presence-rooms.lobby"}

    answer = ann.post("/broadcasting/auth", data=question)

    data = '{"user_id":"ann","user_info":{"name":"ann"}}'
    auth = CREDENTIALS.channel_auth("1.2", "presence-rooms.lobby", data)
    assert answer.json() == {"auth": auth, "channel_data": data}
    assert httpx.post(f"{url}/broadcasting/auth", data=question).status_code == 403


@pytest.mark.parametrize(("channel", "status"), [("private-users.ann", 200), ("private-users.bob", 403)])
def test_a_channel_of_one_user_is_for_that_user(ann: httpx.Client, channel: str, status: int) -> None:
    answer = ann.post("/broadcasting/auth", data={"socket_id": "1.2", "channel_name": channel})

    assert answer.status_code == status


def test_a_user_signs_in(ann: httpx.Client) -> None:
    answer = ann.post("/broadcasting/user-auth", data={"socket_id": "1.2"})

    assert answer.json()["user_data"] == '{"id":"ann"}'


def test_what_is_said_reaches_others_and_not_the_one_who_said_it(
    ann: httpx.Client, server: ServerThread
) -> None:
    with client(server.port) as own, client(server.port) as other:
        for browser in (own, other):
            question = {"socket_id": browser.socket_id, "channel_name": "presence-rooms.lobby"}
            leave = ann.post("/broadcasting/auth", data=question).json()
            browser.send("pusher:subscribe", data={"channel": "presence-rooms.lobby", **leave})
            assert browser.receive()["event"] == "pusher_internal:subscription_succeeded"

        for text, headers in (("to others", {"X-Socket-ID": own.socket_id}), ("to all", {})):
            ann.post("/say", data={"text": text}, headers=headers).raise_for_status()

        heard = [other.receive()["data"] for _ in range(2)]
        alone = own.receive()["data"]
    assert heard == ['{"by":"ann","text":"to others"}', '{"by":"ann","text":"to all"}']
    assert alone == '{"by":"ann","text":"to all"}'
