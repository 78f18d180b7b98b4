"""The room for any ASGI server."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from broadcaster.contrib.asgi import Broadcasting, Scope
from tests.e2e.homes.room import MessageSent, broadcast, cookie_of, name_in


def user_of(scope: Scope) -> str | None:
    return name_in(dict(scope["headers"]).get(b"cookie", b"").decode())


async def room(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    form = parse_qs((await receive())["body"].decode())
    headers = []
    if scope["path"] == "/login":
        headers = [(b"set-cookie", cookie_of(form["name"][0]).encode())]
    else:
        message = MessageSent(by=user_of(scope) or "", text=form["text"][0])
        await broadcast.asend(message, to_others=True)
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body"})


app = Broadcasting(room, broadcast, user=user_of)
