"""One conversation, by laravel-echo and pusher-js in Node, with a chat room in every framework."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .children import Child
from .group import Server
from .players import Player

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
HOMES = "tests.e2e.homes"
SECONDS = 60.0

UVICORN = "-m uvicorn --port 0"
ROOMS = {
    "asgi": f"{UVICORN} {HOMES}.asgi_app:app",
    "django": f"{UVICORN} --app-dir {EXAMPLES} django_app:application",
    "fastapi": f"{UVICORN} --app-dir {EXAMPLES} fastapi_app:app",
    "flask": f"-m flask --app {EXAMPLES / 'flask_app.py'} run --port 0",
    "litestar": f"{UVICORN} --app-dir {EXAMPLES} litestar_app:app",
    "starlette": f"{UVICORN} {HOMES}.starlette_app:app",
    "wsgi": f"-m {HOMES}.wsgi_app",
}


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    player = Player("run.mjs", "node")
    yield player
    player.close()


@pytest.mark.parametrize("framework", ROOMS)
def test_the_conversation(framework: str, server: Server, player: Player) -> None:
    variables = {
        "PYTHONPATH": str(ROOT),
        "BROADCAST_DRIVER": "pusher",
        "PUSHER_APP_ID": server.app_id,
        "PUSHER_APP_KEY": server.key,
        "PUSHER_APP_SECRET": server.secret,
        "PUSHER_HOST": server.host,
        "PUSHER_PORT": str(server.port),
        "PUSHER_SCHEME": "http",
    }
    room = Child(sys.executable, *ROOMS[framework].split(), env={**os.environ, **variables}, stdout=None)
    try:
        url = room.hear(r"unning on (http://127\.0\.0\.1:\d+)", seconds=SECONDS)[1]
        job = {
            "scenario": "frameworks/conversation",
            "run": secrets.token_hex(4),
            "seconds": SECONDS,
            "app": url,
            "host": server.host,
            "port": server.port,
            "key": server.key,
        }
        if failure := player.play(job, seconds=2 * SECONDS):
            pytest.fail(f"{failure}\n\nthe room, {room.log}\nthe server, {server.log}", pytrace=False)
    finally:
        room.end(signal.SIGINT if framework in {"flask", "wsgi"} else signal.SIGTERM)
