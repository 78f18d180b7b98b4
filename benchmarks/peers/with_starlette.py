"""A Starlette application on uvicorn: `python with_starlette.py PORT`."""

from __future__ import annotations

import sys
from collections import defaultdict

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

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


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/", _handle)]),
        port=int(sys.argv[1]),
        loop="uvloop",
        log_level="critical",
        backlog=4096,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
