"""What a client asks for: its frames as values, checked for shape and for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from broadcaster.encoding import decode, encode_decoded
from broadcaster.errors import ProtocolViolation, UnencodableData
from broadcaster.protocol.codes import Code

__all__ = ["ClientEvent", "Command", "Ping", "Pong", "SignIn", "Subscribe", "Unsubscribe", "parse"]


@dataclass(frozen=True, slots=True)
class Ping:
    """`pusher:ping`."""


@dataclass(frozen=True, slots=True)
class Pong:
    """`pusher:pong`."""


class Subscribe(NamedTuple):
    """`pusher:subscribe`; *auth* is empty on public channels.

    *last_id* is that of the last event that the client has of a channel with a history.
    """

    channel: str
    auth: str
    channel_data: str | None
    last_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """`pusher:unsubscribe`."""

    channel: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """`pusher:signin`; *user_data* is the signed JSON text."""

    auth: str
    user_data: str


class ClientEvent(NamedTuple):
    """An event named `client-...`; *data* is the text to hand on."""

    name: str
    channel: str
    data: str


Command: TypeAlias = Ping | Pong | Subscribe | Unsubscribe | SignIn | ClientEvent


def parse(text: str) -> Command:
    """Read one frame; raise `ProtocolViolation` for what is no command of the protocol."""
    frame = _object(text, "the frame")
    name = _string(frame, "event")
    match name:
        case "pusher:ping":
            return Ping()
        case "pusher:pong":
            return Pong()
        case "pusher:subscribe":
            data = _data(frame)
            # Public channels come with an empty `auth` (pusher-js) or with none (Java, Swift).
            return Subscribe(
                channel=_string(data, "channel"),
                auth=_string(data, "auth", default=""),
                channel_data=_string_or_none(data, "channel_data"),
                last_id=_string_or_none(data, "last_id"),
            )
        case "pusher:unsubscribe":
            return Unsubscribe(_string(_data(frame), "channel"))
        case "pusher:signin":
            data = _data(frame)
            return SignIn(auth=_string(data, "auth"), user_data=_string(data, "user_data"))
        case _ if name.startswith("client-"):
            return ClientEvent(name, _string(frame, "channel"), _text_of(frame.get("data", {})))
        case _:
            raise ProtocolViolation(Code.RECONNECT, f"unknown event {name[:200]!r}")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = decode(text)
    except ValueError:
        raise ProtocolViolation(Code.RECONNECT, f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolViolation(Code.RECONNECT, f"{what} is not a JSON object")
    return value


def _data(frame: dict[str, Any]) -> dict[str, Any]:
    # Older and native clients send `data` as a JSON string.
    data = frame.get("data")
    if isinstance(data, str):
        return _object(data, "data")
    if not isinstance(data, dict):
        raise ProtocolViolation(Code.RECONNECT, "data is not a JSON object")
    return data


def _string(values: dict[str, Any], key: str, *, default: str | None = None) -> str:
    value = values.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ProtocolViolation(Code.RECONNECT, f"{key!r} is not a string")
    return value


def _string_or_none(values: dict[str, Any], key: str) -> str | None:
    return _string(values, key) if values.get(key) is not None else None


def _text_of(data: Any) -> str:
    """Return *data* as the string to hand on: text stays as it is, anything else is encoded once."""
    if isinstance(data, str):
        return data
    try:
        return encode_decoded(data)
    except UnencodableData:
        # 1e999 is JSON, but no number that could be handed on.
        raise ProtocolViolation(Code.RECONNECT, "data holds a number out of range") from None
