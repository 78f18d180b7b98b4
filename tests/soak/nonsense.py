"""Frames and requests that are nearly right: grammar first, then damage."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from websockets.frames import Frame, Opcode

from broadcaster.signing import Credentials, body_digest
from tests.soak.served import ID, KEY, SECRET

__all__ = ["Nonsense"]

_CREDENTIALS = Credentials(KEY, SECRET)
_EVENTS = [
    *("pusher:subscribe", "pusher:unsubscribe", "pusher:ping", "pusher:pong", "client-x", "client-y"),
    *("pusher_internal:subscription_succeeded", "", "x", "client-", "pusher:"),
]
_PREFIXES = [
    "",
    "private-",
    "presence-",
    "cache-",
    "private-cache-",
    "private-encrypted-",
    "#server-to-user-",
]
_NAMES = ["a", "b", "kept", "kept-2", "a b", "", "\0", "ü", "x" * 201, "*", "a" * 150]
_PATHS = [
    "events",
    "batch_events",
    "channels",
    "channels/a",
    "channels/presence-a/users",
    "users/7/terminate_connections",
]


class Nonsense:
    """All of it comes from one *seed*."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def frames(self, count: int, socket_id: str) -> bytes:
        """Return *count* frames of which nearly all are WebSocket's, and half are the protocol's."""
        made = bytearray()
        for _ in range(count):
            text = json.dumps(self._command(socket_id))
            if self._random.random() < 0.3:
                text = self._damaged(text)
            made += Frame(Opcode.TEXT, text.encode("utf-8", "replace")).serialize(mask=True)
        return bytes(made)

    def last_frame(self) -> bytes:
        """Return one that breaks WebSocket's own rules, more or less."""
        frame = bytearray(Frame(Opcode.TEXT, b'{"event":"pusher:ping"}').serialize(mask=True))
        for _ in range(self._random.randint(1, 4)):
            frame[self._random.randrange(len(frame))] = self._random.randrange(256)
        return bytes(frame) if self._random.random() < 0.9 else self._random.randbytes(200)

    def request(self) -> bytes:
        """Return an HTTP request, damaged or not."""
        method = self._random.choice(["GET", "POST", "POST", "POST", "DELETE", "GE T"])
        path = f"/apps/{self._random.choice([ID, ID, ID, '2', '..'])}/{self._random.choice(_PATHS)}"
        body = json.dumps(self._value(3)).encode() if self._random.random() < 0.5 else self._event()
        params = [("auth_key", KEY), ("auth_timestamp", str(int(time.time()))), ("auth_version", "1.0")]
        params += [("body_md5", body_digest(body)), ("info", self._random.choice(["user_count", "x", ""]))]
        signature = _CREDENTIALS.request_signature(method, path, params)
        query = "&".join(f"{name}={value}" for name, value in [*params, ("auth_signature", signature)])
        head = f"{method} {path}?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        made = bytearray(head.encode() + body)
        if self._random.random() < 0.5:
            for _ in range(self._random.randint(1, 5)):
                made[self._random.randrange(len(made))] = self._random.randrange(256)
        return bytes(made)

    def _event(self) -> bytes:
        channels = [self._channel() for _ in range(self._random.randint(0, 3))]
        event = {"name": "e", "channels": channels, "data": self._value(2), "socket_id": "1.2"}
        return json.dumps(event).encode()

    def _command(self, socket_id: str) -> Any:
        if self._random.random() < 0.1:
            return self._value(4)
        channel = self._channel()
        data: Any = {"channel": channel}
        if self._random.random() < 0.5 and channel.isascii() and channel.isprintable():
            self._sign(data, socket_id, channel)
        if self._random.random() < 0.1:
            data = self._value(3)
        # A sign-in that is refused ends the connection, so it comes seldom.
        event = self._random.choice(_EVENTS) if self._random.random() > 0.0001 else "pusher:signin"
        command = {"event": event, "data": data, "channel": channel}
        if self._random.random() < 0.1:
            command[self._random.choice([*command, "more"])] = self._value(2)
        return command

    def _sign(self, data: dict[str, Any], socket_id: str, channel: str) -> None:
        member = json.dumps({"user_id": self._random.randrange(5), "user_info": self._value(1)})
        parts = [socket_id, channel]
        if channel.startswith("presence-"):
            parts.append(member)
            data["channel_data"] = member
        data["auth"] = f"{KEY}:{_CREDENTIALS.signature(':'.join(parts))}"

    def _channel(self) -> str:
        return self._random.choice(_PREFIXES) + self._random.choice(_NAMES)

    def _value(self, depth: int) -> Any:
        kind = self._random.randrange(8 if depth else 6)
        if kind == 6:
            return [self._value(depth - 1) for _ in range(self._random.randrange(4))]
        if kind == 7:
            keys = ["channel", "auth", "user_id", "watchlist", "id", "name", "x"]
            return {
                self._random.choice(keys): self._value(depth - 1) for _ in range(self._random.randrange(4))
            }
        return [None, True, -1.5e300, 10**30, "text", "\ud83d\ude00" * 20][kind]

    def _damaged(self, text: str) -> str:
        at = self._random.randrange(len(text) + 1)
        match self._random.randrange(3):
            case 0:
                return text[:at] + chr(self._random.randrange(0xD7FF)) + text[at + 1 :]
            case 1:
                return text[:at]
            case _:
                return text[:at] + text[self._random.randrange(len(text) + 1) :]
