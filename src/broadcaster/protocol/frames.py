"""The text of every frame that a server sends.

`data` is a JSON string everywhere except in `pusher:error`, where it is an object: the Swift client
reads neither the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any

from broadcaster.encoding import encode

__all__ = [
    "cache_miss",
    "client_event",
    "connection_established",
    "error",
    "event",
    "gap",
    "member_added",
    "member_removed",
    "pong",
    "signed_in",
    "subscribed",
    "subscribed_to_presence",
    "subscription_count",
    "subscription_error",
    "watchlist_events",
]

_SUBSCRIBED = "pusher_internal:subscription_succeeded"

pong = '{"event":"pusher:pong","data":"{}"}'
"""The answer to a client's `pusher:ping`."""


def connection_established(socket_id: str, activity_timeout: int) -> str:
    """The first frame; without an `activity_timeout` above 0 pusher-js drops the connection.

    A *socket_id* is two numbers with a dot between them, which JSON has no need to escape.
    """
    data = f'{{\\"socket_id\\":\\"{socket_id}\\",\\"activity_timeout\\":{activity_timeout}}}'
    return f'{{"event":"pusher:connection_established","data":"{data}"}}'


def error(code: int, message: str, channel: str | None = None) -> str:
    """An error; *code* is always a number, because null as a first frame breaks pusher-js."""
    frame: dict[str, Any] = {"event": "pusher:error", "data": {"code": int(code), "message": message}}
    if channel is not None:
        frame["channel"] = channel
    return encode(frame)


def event(name: str, channel: str, data: str, event_id: str | None = None) -> str:
    """An event on a channel; *data* goes out as it came in, never encoded anew.

    *event_id* is that of a channel with a history.
    """
    return _event(name, channel, data, "" if event_id is None else f',"id":{_quoted(event_id)}')


def client_event(name: str, channel: str, data: str, user_id: str | None) -> str:
    """A client event; *user_id* names the sender on presence channels, and is None elsewhere."""
    return _event(name, channel, data, "" if user_id is None else f',"user_id":{_quoted(user_id)}')


def _event(name: str, channel: str, data: str, more: str) -> str:
    # A sixth of what an encoder takes that has to look at a dictionary first.
    return f'{{"event":{_quoted(name)},"channel":{_quoted(channel)},"data":{_quoted(data)}{more}}}'


def subscribed(channel: str, event_id: str | None = None) -> str:
    """The acknowledgement of a subscription, with the latest *event_id* where there is a history."""
    return _subscribed(channel) if event_id is None else event(_SUBSCRIBED, channel, "{}", event_id)


@lru_cache(maxsize=1024)
def _subscribed(channel: str) -> str:
    # Every subscriber of a channel is told the very same.
    return event(_SUBSCRIBED, channel, "{}")


def subscribed_to_presence(channel: str, members: Mapping[str, Any], event_id: str | None = None) -> str:
    """The acknowledgement on a presence channel; *members* are user id to user info, the subscriber's too.

    Clients disagree on which of `ids`, `hash` and `count` they read, so all three are there.
    """
    presence = {"count": len(members), "ids": list(members), "hash": dict(members)}
    return event(_SUBSCRIBED, channel, encode({"presence": presence}), event_id)


def gap(channel: str, event_id: str) -> str:
    """Events may be missing before the next one that a client gets; *event_id* is that of the latest."""
    return event("broadcaster:gap", channel, "{}", event_id)


def subscription_error(channel: str, kind: str, message: str, status: int) -> str:
    """A refused subscription; the form that reaches Echo's `.error()`."""
    data = {"type": kind, "error": message, "status": status}
    return event("pusher:subscription_error", channel, encode(data))


def subscription_count(channel: str, count: int) -> str:
    """How many connections are subscribed to a channel."""
    return event("pusher_internal:subscription_count", channel, encode({"subscription_count": count}))


def cache_miss(channel: str) -> str:
    """A cache channel has no event that could be told again."""
    return event("pusher:cache_miss", channel, "{}")


def member_added(channel: str, user_id: str, user_info: Any) -> str:
    """A user's first connection joined a presence channel."""
    data = {"user_id": user_id, "user_info": user_info}
    return event("pusher_internal:member_added", channel, encode(data))


def member_removed(channel: str, user_id: str) -> str:
    """A user's last connection left a presence channel."""
    return event("pusher_internal:member_removed", channel, encode({"user_id": user_id}))


def signed_in(user_data: str) -> str:
    """The acknowledgement of a sign-in, with the `user_data` that was signed."""
    return encode({"event": "pusher:signin_success", "data": encode({"user_data": user_data})})


def watchlist_events(changes: Iterable[tuple[str, list[str]]]) -> str:
    """Users that came or went: `online` or `offline`, and their ids; pusher-js reads no other form."""
    events = [{"name": name, "user_ids": user_ids} for name, user_ids in changes]
    return encode({"event": "pusher_internal:watchlist_events", "data": encode({"events": events})})
