"""What Echo asks before it joins a guarded channel: what an answer costs, alone and through frameworks."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeAlias

from flask import Flask, jsonify, request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.app import APP_ID, KEY, SECRET
from benchmarks.report import Cell, Table, ratios
from broadcaster import BroadcastManager
from broadcaster.auth_requests import AuthRequest
from broadcaster.contrib import flask, starlette

__all__ = ["run"]

_PATH = "/broadcasting/auth"
_BARE = "/bare"
_TYPE = "application/x-www-form-urlencoded"
_SOCKET = "1234.5678"
_CHANNEL = "private-orders.7"
_BODY = f"socket_id={_SOCKET}&channel_name={_CHANNEL}".encode()

_Work: TypeAlias = Callable[[], object]


def run(*, quick: bool) -> list[Table]:
    """Ask the manager, then applications that do nothing else, beside bare routes of theirs."""
    repeats, count = (5, 200) if quick else (21, 1_000)
    with (
        BroadcastManager.from_dict(_SETTINGS) as broadcast,
        BroadcastManager.from_dict(_SETTINGS) as abroadcast,
        asyncio.Runner() as runner,
    ):
        broadcast.channel("orders.{number}")(_sees)
        abroadcast.channel("orders.{number}")(_asees)
        asgi, wsgi = _starlette(abroadcast), _flask()
        works: dict[str, _Work] = {
            "manager.authorize()": _authorize(broadcast),
            "manager.answer()": _answer(broadcast),
            "Starlette, bare": _asked(asgi, _BARE, runner),
            "Starlette": _asked(asgi, _PATH, runner),
            "Flask, bare": _called(wsgi, _BARE),
            "Flask": _called(wsgi, _PATH),
        }
        found: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(repeats):
            for name, work in works.items():
                found[name].append(_timed(work, count))
    return [
        Table(
            "auth: may this connection join a private channel? Without a server",
            ("what", "CPU us", "each second, one core", "CPU to the bare route"),
            [_row(name, spent, found.get(f"{name}, bare")) for name, spent in found.items()],
        )
    ]


def _row(name: str, spent: list[float], bare: list[float] | None) -> list[Cell]:
    median = statistics.median(spent)
    return [name, median, round(1e6 / median), ratios(spent, bare) if bare else ""]


_SETTINGS = {"driver": "pusher", "drivers": {"pusher": {"app_id": APP_ID, "key": KEY, "secret": SECRET}}}


def _timed(work: _Work, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - start) / count * 1e6


def _sees(user: str, number: int) -> bool:
    return user == "ann" and number == 7


async def _asees(user: str, number: int) -> bool:
    return _sees(user, number)


async def _auser(_: Request) -> str:
    return "ann"


def _authorize(broadcast: BroadcastManager) -> _Work:
    return lambda: broadcast.authorize("ann", _CHANNEL, socket_id=_SOCKET)


def _answer(broadcast: BroadcastManager) -> _Work:
    return lambda: broadcast.answer(AuthRequest(content_type=_TYPE, body=_BODY), "ann")


def _starlette(broadcast: BroadcastManager) -> Starlette:
    async def bare(request: Request) -> Response:
        return JSONResponse({"auth": len(await request.body())})

    routes = starlette.Broadcasting(broadcast, user=_auser).routes
    return Starlette(routes=[*routes, Route(_BARE, bare, methods=["POST"])])


def _flask() -> Flask:
    app = Flask("benchmark")
    app.config["BROADCASTING"] = _SETTINGS
    broadcasting = flask.Broadcasting(app)
    broadcasting.user(lambda: "ann")
    broadcasting.channel("orders.{number}")(_sees)

    @app.post(_BARE)
    def bare() -> Any:
        return jsonify(auth=len(request.get_data()))

    return app


def _asked(app: Starlette, path: str, runner: asyncio.Runner) -> _Work:
    """Return what has the ASGI application answer one POST, to nobody."""
    headers = [
        (b"host", b"localhost"),
        (b"content-type", _TYPE.encode()),
        (b"content-length", b"%d" % len(_BODY)),
    ]
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "root_path": "",
        "scheme": "http", "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise AssertionError(f"the answer is {message!r}")

    return lambda: runner.run(app({**scope}, receive, send))


def _called(app: Flask, path: str) -> _Work:
    """Return what has the WSGI application answer one POST, to nobody."""
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http", "CONTENT_TYPE": _TYPE, "CONTENT_LENGTH": str(len(_BODY)),
        "wsgi.errors": sys.stderr,
    }  # fmt: skip

    def start(status: str, _headers: object, _error: object = None) -> Any:
        if status != "200 OK":
            raise AssertionError(f"the answer is {status}")

    def work() -> None:
        for _ in app.wsgi_app({**environ, "wsgi.input": BytesIO(_BODY)}, start):
            pass

    return work
