"""What is said on a bus: an event in the form that Laravel publishes, which our `redis` driver does too.

A node adds who it is, and says the data as text, byte for byte; without a node the data are JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from broadcaster.cluster.journal import Entry
from broadcaster.cluster.replicas import News
from broadcaster.encoding import decode, encode
from broadcaster.protocol.effects import Relay, Terminate

__all__ = ["begins", "open_envelope", "open_recorded", "seal_envelope", "seal_news", "seal_termination"]

_RECORDED = re.compile(rb'\{"at":"([0-9]+-[0-9]+)","after":"([0-9]+-[0-9]+)",')
_HOLE = b'{"hole":true}'


def begins(node: str) -> bytes:
    """Return how all begins that *node* says: its own words come back to it, and need not be read."""
    return encode({"node": node})[:-1].encode()


def seal_envelope(relay: Relay, *, node: str, message_id: str) -> bytes:
    """Return what *node* says to the others of *relay*; the channels are told by where it is said."""
    envelope: dict[str, object] = {
        "node": node,
        "event": relay.name,
        "data": relay.data,
        "socket": relay.except_socket,
        "id": message_id,
    }
    if relay.whisper:
        envelope |= {"whisper": True, "user": relay.user_id}
    return encode(envelope).encode()


def seal_termination(terminate: Terminate, *, node: str) -> bytes:
    """Return what *node* says to the others of *terminate*."""
    return encode({"node": node, "terminate": terminate.user_id}).encode()


def seal_news(news: News, *, node: str) -> bytes:
    """Return what *node* says to the others of its share of a place."""
    fields = {"at": news.at, "after": news.after, "count": news.count, "came": news.came, "gone": news.gone}
    return encode({"node": node, "share": news.node, **fields}).encode()


def open_envelope(payload: bytes, channel: str) -> tuple[Relay | Terminate | News, bool]:
    """Read what was said on *channel*, and whether a node said it; raise `ValueError` for nonsense."""
    said = decode(payload)
    return _read(said, channel), isinstance(said, dict) and "node" in said


def open_recorded(payload: bytes) -> Entry | None:
    """Read what a journal tells on the bus, with the ids before what was said; None for anything else."""
    if (found := _RECORDED.match(payload)) is None:
        return None
    said = b"{" + payload[found.end() :]
    return Entry(found[1].decode(), found[2].decode(), b"" if said == _HOLE else said)


def _read(said: Any, channel: str) -> Relay | Terminate | News:
    match said:
        case {"event": str(name), "data": data, **rest} if name:
            node, text = _optional(rest, "node"), data
            if node is None:
                text = _laravel(data)
            elif not isinstance(data, str):
                raise ValueError("the data of a node are text")
            whisper = rest.get("whisper") is True
            return Relay(
                name,
                (channel,),
                text,
                _optional(rest, "socket"),
                _optional(rest, "id"),
                whisper,
                _optional(rest, "user"),
            )
        case {"terminate": str(user_id), "node": str()}:
            return Terminate(user_id)
        case {
            "node": str(),
            "share": str(node),
            "at": int(at),
            "after": int(after),
            "count": int(count),
            "came": dict(came),
            "gone": list(gone),
        }:
            return News(node, at, after, count, came, tuple(str(user_id) for user_id in gone))
    raise ValueError("no event")


def _laravel(data: Any) -> str:
    """Return data as text, without the socket that Laravel writes into an object."""
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key != "socket"}
    return encode(data)


def _optional(fields: Mapping[Any, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value
