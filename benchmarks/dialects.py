"""What a client says: the request to upgrade, and the frames that subscribe, as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.app import KEY

__all__ = [
    "bare",
    "frame",
    "nats",
    "nchan",
    "pusher",
    "pusher_frame",
    "pusher_greeted",
    "socketio",
    "socketio_greeted",
    "upgrade",
]


def upgrade(path: str, **headers: str) -> bytes:
    """Return a request to upgrade to WebSocket."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    ).encode()


def frame(payload: bytes, *, binary: bool = False) -> bytes:
    """Return a client's frame. It is masked, but a mask of zeros leaves the payload as it is."""
    first = 0x82 if binary else 0x81
    if len(payload) < 126:
        return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload
    return bytes([first, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def pusher_frame(name: str, data: Mapping[str, Any], channel: str | None = None) -> bytes:
    """Return a frame of the Pusher protocol."""
    about = {} if channel is None else {"channel": channel}
    return frame(json.dumps({"event": name, "data": data, **about}).encode())


def pusher_greeted() -> list[bytes]:
    """Return the script of a Pusher client that subscribes to nothing."""
    request = upgrade(f"/app/{KEY}?protocol=7&client=benchmark&version=1.0")
    return [request, b"pusher:connection_established"]


def pusher(channel: str) -> list[bytes]:
    """Return the script of a Pusher client that subscribes to *channel*."""
    subscribe = pusher_frame("pusher:subscribe", {"channel": channel})
    return [*pusher_greeted(), subscribe, b"subscription_succeeded"]


def bare(channel: str) -> list[bytes]:
    """Return the script of a subscriber of one of the bare servers in `peers/`."""
    return [upgrade("/"), b"", frame(f"subscribe {channel}".encode()), b"subscribed"]


def nchan(channel: str) -> list[bytes]:
    """Return the script of a subscriber of nchan, which sends nothing but the request."""
    return [upgrade(f"/sub?id={channel}"), b""]


def nats(channel: str) -> list[bytes]:
    """Return the script of a NATS client; the answer to its PING says that it has been heard."""
    words = f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {channel} 1\r\nPING\r\n'
    return [upgrade("/"), b"INFO", frame(words.encode(), binary=True), b"PONG"]


def socketio(channel: str) -> list[bytes]:
    """Return the script of a Socket.IO client, without long polling before."""
    subscribe = f"42{json.dumps(['subscribe', channel])}"
    return [*socketio_greeted(), frame(subscribe.encode()), b"subscribed"]


def socketio_greeted() -> list[bytes]:
    """Return the script of a Socket.IO client that subscribes to nothing."""
    return [upgrade("/socket.io/?EIO=4&transport=websocket"), b"0{", frame(b"40"), b"40{"]
