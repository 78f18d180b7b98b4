"""The bodies of the HTTP API: events to push, checked before any of them is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from broadcaster.channels import check_name
from broadcaster.context import is_socket_id
from broadcaster.encoding import decode
from broadcaster.errors import InvalidChannelName
from broadcaster.protocol.api_errors import ApiError
from broadcaster.protocol.limits import Limits

__all__ = ["Trigger", "read_batch", "read_ids", "read_info", "read_trigger"]

_ID_LENGTH = 128
_INFO = frozenset({"user_count", "subscription_count"})


class Trigger(NamedTuple):
    """One event to push; *info* names the attributes that the answer shall hold."""

    name: str
    channels: list[str]
    data: str
    socket_id: str | None
    info: frozenset[str]


def read_trigger(body: bytes, limits: Limits) -> Trigger:
    """Read the body of `POST /events`."""
    return _trigger(_object(_parsed(body)), limits)


def read_batch(body: bytes, limits: Limits) -> list[Trigger]:
    """Read the body of `POST /batch_events`; one bad event refuses the whole batch."""
    batch = _object(_parsed(body)).get("batch")
    if not isinstance(batch, list) or not batch:
        raise ApiError(400, "batch must be a list of events")
    if len(batch) > limits.events_per_batch:
        raise ApiError(400, f"the batch has {len(batch)} events, {limits.events_per_batch} are allowed")
    triggers = [_trigger(_object(item), limits) for item in batch]
    if any(len(trigger.channels) != 1 for trigger in triggers):
        raise ApiError(400, "an event of a batch has one channel")
    return triggers


def read_ids(header: str, events: int) -> list[str | None]:
    """Read `X-Idempotency-Key`: the id of each event, with commas between, or one id for them all."""
    if not header:
        return [None] * events
    ids = [word.strip() for word in header.split(",")]
    if any(not 0 < len(word) <= _ID_LENGTH for word in ids):
        raise ApiError(400, f"an id in X-Idempotency-Key has 1 to {_ID_LENGTH} characters")
    if len(ids) == 1 and events > 1:
        return [f"{ids[0]},{index}" for index in range(events)]
    if len(ids) != events:
        raise ApiError(400, f"X-Idempotency-Key has {len(ids)} ids for {events} events")
    return [*ids]


def read_info(info: str) -> frozenset[str]:
    """Read the attributes that a request asks for."""
    asked = frozenset(word.strip() for word in info.split(",") if word.strip())
    if unknown := asked - _INFO:
        raise ApiError(400, f"unknown info {', '.join(sorted(unknown))}; known: {', '.join(sorted(_INFO))}")
    return asked


def _trigger(fields: Mapping[str, Any], limits: Limits) -> Trigger:
    return Trigger(
        name=_name(fields.get("name"), limits),
        channels=_channels(fields, limits),
        data=_data(fields.get("data"), limits),
        socket_id=_socket_id(fields.get("socket_id")),
        info=_info(fields.get("info")),
    )


def _parsed(body: bytes) -> Any:
    try:
        return decode(body)
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ApiError(400, "an event must be a JSON object")
    return value


def _name(name: Any, limits: Limits) -> str:
    if not isinstance(name, str) or not name:
        raise ApiError(400, "name must be a string that is not empty")
    if len(name) > limits.event_name:
        raise ApiError(400, f"name has {len(name)} characters, {limits.event_name} are allowed")
    if name.startswith(("pusher:", "pusher_internal:")):
        raise ApiError(400, f"name {name!r} has a prefix that is reserved for the protocol")
    return name


def _channels(fields: Mapping[str, Any], limits: Limits) -> list[str]:
    names = fields.get("channels", fields.get("channel"))
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or [name for name in names if not isinstance(name, str)]:
        raise ApiError(400, "channels must be a list of channel names, or channel a single one")
    if len(names) > limits.channels_per_event:
        raise ApiError(400, f"the event has {len(names)} channels, {limits.channels_per_event} are allowed")
    try:
        return list(dict.fromkeys(map(check_name, names)))
    except InvalidChannelName as error:
        raise ApiError(400, str(error)) from error


def _data(data: Any, limits: Limits) -> str:
    if not isinstance(data, str):
        raise ApiError(400, "data must be a string, usually one that holds JSON")
    if (size := len(data.encode())) > limits.data_size:
        raise ApiError(
            413, f"the data content of this event has {size} bytes, {limits.data_size} are allowed"
        )
    return data


def _socket_id(socket_id: Any) -> str | None:
    if socket_id is None:
        return None
    if not isinstance(socket_id, str) or not is_socket_id(socket_id):
        raise ApiError(400, "socket_id must be digits, a dot and digits")
    return socket_id


def _info(info: Any) -> frozenset[str]:
    if info is None:
        return frozenset()
    if not isinstance(info, str):
        raise ApiError(400, "info must be a string of words between commas")
    return read_info(info)
