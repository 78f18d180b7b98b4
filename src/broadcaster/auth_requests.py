"""What a browser asks of an application before it joins a channel or signs in.

The requests are those of pusher-js, of Echo, and of the plugin pusher-js-auth, which asks about several
channels at once: <https://pusher.com/docs/channels/server_api/authorizing-users/>,
<https://www.npmjs.com/package/pusher-js-auth>.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from broadcaster._forms import read_form
from broadcaster.encoding import decode
from broadcaster.errors import BroadcastError

__all__ = ["MAX_BODY_SIZE", "AuthRequest", "BadAuthRequest", "Question"]

MAX_BODY_SIZE = 65_536
"""How many bytes the body of a request may have."""

_MOST_CHANNELS = 100
_MOST_FIELDS = 2 * _MOST_CHANNELS
_INDEXED = re.compile(r"channel_name\[[0-9]*\]")


class BadAuthRequest(BroadcastError, ValueError):
    """A request that asks for nothing that can be answered; *status* is that of the answer."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """An HTTP request as it came: the *query* string, the *content_type* and the *body*."""

    query: str = ""
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks: for one connection, about one channel, about *several*, or about none."""

    socket_id: str
    channels: tuple[str, ...]
    several: bool

    @classmethod
    def of(cls, request: AuthRequest) -> Self:
        """Read a form, JSON, or a query string; raise `BadAuthRequest` for anything else."""
        if len(request.body) > MAX_BODY_SIZE:
            raise BadAuthRequest(f"the body has more than {MAX_BODY_SIZE} bytes", status=413)
        fields = list(_fields_of(request))
        sockets = [value for name, value in fields if name == "socket_id"]
        channels = [value for name, value in fields if name == "channel_name"]
        listed = [value for name, value in fields if _INDEXED.fullmatch(name)]
        if len(sockets) > 1:
            raise BadAuthRequest("socket_id is there more than once")
        if len(channels) + bool(listed) > 1:
            raise BadAuthRequest("channel_name is there more than once; several are called channel_name[]")
        if len(listed) > _MOST_CHANNELS:
            raise BadAuthRequest(f"more than {_MOST_CHANNELS} channels are asked for")
        # laravel-echo-server tells none; who signs for one connection says that it is missing.
        return cls(sockets[0] if sockets else "", tuple(dict.fromkeys(channels or listed)), bool(listed))


def _fields_of(request: AuthRequest) -> Iterable[tuple[str, str]]:
    """Return the fields of the body, and those of the query that the body leaves out."""
    kind = request.content_type.partition(";")[0].strip().lower()
    if not request.body:
        return _form(request.query)
    if kind == "application/json" or kind.endswith("+json"):
        body = list(_json(request.body))
    elif kind in {"application/x-www-form-urlencoded", ""}:
        try:
            body = _form(request.body.decode())
        except UnicodeDecodeError:
            raise BadAuthRequest("the body is not UTF-8") from None
    else:
        raise BadAuthRequest("the body must be a form or JSON, as its Content-Type says", status=415)
    given = {name.partition("[")[0] for name, _ in body}
    return body + [field for field in _form(request.query) if field[0].partition("[")[0] not in given]


def _form(text: str) -> list[tuple[str, str]]:
    try:
        return read_form(text, most=_MOST_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise BadAuthRequest("a field is not UTF-8") from None
    except ValueError:
        raise BadAuthRequest(f"there are more than {_MOST_FIELDS} fields") from None


def _json(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        content = decode(body)
    except ValueError:
        raise BadAuthRequest("the body is not JSON") from None
    if not isinstance(content, dict):
        raise BadAuthRequest("the body is not a JSON object")
    for name, value in content.items():
        match value:
            case str():
                yield name, value
            case list() if name == "channel_name" and value and all(isinstance(item, str) for item in value):
                yield from ((f"{name}[]", item) for item in value)
            case _ if name in {"channel_name", "socket_id"}:
                raise BadAuthRequest(f"{name} is not a string")
