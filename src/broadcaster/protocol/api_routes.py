"""Which call of the HTTP API a path is, and about whom."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["Route", "find_route"]

_APP = "/apps/{app_id}/"
_PLAIN = {call: _APP + call for call in ("events", "batch_events", "channels")}
_NAMING = [
    (re.compile(pattern), _APP + template)
    for pattern, template in (
        (r"channels/([^/]+)", "channels/{channel}"),
        (r"channels/([^/]+)/users", "channels/{channel}/users"),
        # A user id may hold anything, a slash too, which some clients leave as it is.
        (r"users/(.+)/terminate_connections", "users/{user_id}/terminate_connections"),
    )
]


class Route(NamedTuple):
    """A *template*, one of a few, the application, and the *argument*: what is in place of the last name.

    Both are decoded.
    """

    template: str
    app_id: str
    argument: str = ""


# An application sends all its events to one path, and few clients ask for more than a few channels.
@lru_cache(maxsize=256)
def find_route(path: str) -> Route | None:
    """Return what *path*, still percent-encoded, is; None where the API has no such thing."""
    match path.split("/", 3):
        case ["", "apps", app_id, call] if app_id:
            if (template := _PLAIN.get(call)) is not None:
                return Route(template, unquote(app_id))
            for pattern, template in _NAMING:
                if (match := pattern.fullmatch(call)) is not None:
                    return Route(template, unquote(app_id), unquote(match[1]))
    return None
