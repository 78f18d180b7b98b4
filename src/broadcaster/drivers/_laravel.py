"""Data as Laravel publishes it: an object holds the socket that the message is not for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

__all__ = ["with_socket"]

_decoder = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def with_socket(data: str, socket: str) -> str:
    """Return the JSON text *data* with the member `socket`, itself JSON text, where it is an object.

    One that it has already is replaced. Raises `ValueError` when that takes reading *data*, which is no JSON.
    """
    data = data.strip(" \t\n\r")
    if not data.startswith("{"):
        return data
    # The key may also be spelled with escapes.
    if '"socket"' in data or "\\u00" in data:
        # As PHP merges arrays: a key that is there already keeps its place.
        members = dict(_members(data))
        members["socket"] = f'"socket":{socket}'
        return "{" + ",".join(members.values()) + "}"
    inside = data[:-1].rstrip(" \t\n\r")
    return f'{inside}{"" if inside == "{" else ","}"socket":{socket}}}'


def _members(data: str) -> Iterator[tuple[str, str]]:
    """Yield each key of a JSON object with the text that it stands in: `"key":value`."""
    at = _past_space(data, 1)
    while data[at : at + 1] not in {"}", ""}:
        key, end = _decoder.raw_decode(data, at)
        colon = _past_space(data, end)
        _, end = _decoder.raw_decode(data, _past_space(data, colon + 1))
        yield key, data[at:end]
        at = _past_space(data, _past_space(data, end) + 1)


def _past_space(data: str, at: int) -> int:
    match = _SPACE.match(data, at)
    return match.end() if match else at
