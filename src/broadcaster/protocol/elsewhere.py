"""Who is where on other nodes, as hubs tell each other: on a channel, or signed in.

A *place* of an application is a channel, or a user who may sign in; see `place_of()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Change", "Elsewhere", "place_of", "user_at"]

_USER = "#user-"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other nodes have at a place together: how many connections, and which users with their info.

    *cached* is the frame of the last event of a cache channel.
    """

    count: int = 0
    members: Mapping[str, Any] = field(default_factory=dict)
    cached: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is new at a place: its *count* from now on, the users that *came*, with their info, or are *gone*.

    *cached* is as in `Elsewhere`, where it has been looked up anew.
    """

    count: int
    came: Mapping[str, Any] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    cached: str | None = None


def place_of(user_id: str) -> str:
    """Return where a user signs in; no channel has such a name."""
    return _USER + user_id


def user_at(place: str) -> str | None:
    """Return the user who signs in at *place*, or None for a channel."""
    return place.removeprefix(_USER) if place.startswith(_USER) else None
