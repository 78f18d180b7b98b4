"""A Starlette application on uvicorn: `python with_starlette.py PORT`.

It also takes signed events by HTTP, as a server of the Pusher protocol does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from collections import defaultdict

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

_SECRET = b"app-secret"

_subscribers: defaultdict[str, set[WebSocket]] = defaultdict(set)


async def _handle(connection: WebSocket) -> None:
    await connection.accept()
    try:
        async for said in connection.iter_text():
            what, channel, *text = said.split(" ", 2)
            if what == "publish":
                for subscriber in _subscribers[channel]:
                    await subscriber.send_text(text[0])
            else:
                _subscribers[channel].add(connection)
                await connection.send_text("subscribed")
    except WebSocketDisconnect:
        pass
    for subscribers in _subscribers.values():
        subscribers.discard(connection)


async def _take(request: Request) -> Response:
    body, params = await request.body(), dict(request.query_params)
    given = params.pop("auth_signature")
    query = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
    signed = f"POST\n{request.url.path}\n{query}".encode()
    expected = hmac.digest(_SECRET, signed, "sha256").hex()
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(expected, given) or digest != params["body_md5"]:
        return JSONResponse({}, 401)
    event = json.loads(body)
    for subscriber in _subscribers.get(event["channel"], ()):
        await subscriber.send_text(json.dumps(event))
    return JSONResponse({})


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/", _handle), Route("/apps/1/events", _take, methods=["POST"])]),
        port=int(sys.argv[1]),
        loop="uvloop",
        log_level="critical",
        backlog=4096,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
