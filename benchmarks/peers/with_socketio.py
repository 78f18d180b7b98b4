"""A python-socketio server on uvicorn: `python with_socketio.py PORT`."""

from __future__ import annotations

import sys

import socketio
import uvicorn

_server = socketio.AsyncServer(async_mode="asgi", ping_interval=3_600, cors_allowed_origins="*")


async def _subscribe(sid: str, channel: str) -> None:
    await _server.enter_room(sid, channel)
    await _server.emit("subscribed", to=sid)


async def _publish(_: str, channel: str, text: str) -> None:
    await _server.emit("e", text, room=channel)


if __name__ == "__main__":
    _server.on("subscribe", _subscribe)
    _server.on("publish", _publish)
    uvicorn.run(
        socketio.ASGIApp(_server),
        port=int(sys.argv[1]),
        loop="uvloop",
        log_level="critical",
        backlog=4096,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
