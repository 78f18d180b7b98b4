"""Who is subscribed to one channel, and which users are present on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broadcaster.protocol.connection import Connection

__all__ = ["Subscribers"]


@dataclass(slots=True)
class _Present:
    """A user with at least one connection; *info* is what the first of them brought."""

    info: Any
    connections: int


class Subscribers:
    """The connections of one channel, in the order they came."""

    __slots__ = ("_audience", "_connections", "_users")

    def __init__(self) -> None:
        self._connections: dict[Connection, None] = {}
        self._users: dict[str, _Present] = {}
        self._audience: tuple[Connection, ...] | None = None

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def audience(self) -> tuple[Connection, ...]:
        """Every connection; the same tuple until one comes or goes, so that a push copies nothing."""
        if self._audience is None:
            self._audience = tuple(self._connections)
        return self._audience

    @property
    def members(self) -> dict[str, Any]:
        """The users present: id to info, each once however many connections it has."""
        return {user_id: user.info for user_id, user in self._users.items()}

    @property
    def user_count(self) -> int:
        """How many users are present."""
        return len(self._users)

    def is_member(self, user_id: str) -> bool:
        """Whether a connection of that user is here."""
        return user_id in self._users

    def add(self, connection: Connection, user_id: str | None = None, info: Any = None) -> bool:
        """Let a connection in; return whether it is the first one of *user_id*."""
        self._connections[connection] = None
        self._audience = None
        if user_id is None:
            return False
        if (user := self._users.get(user_id)) is not None:
            user.connections += 1
            return False
        self._users[user_id] = _Present(info, 1)
        return True

    def remove(self, connection: Connection, user_id: str | None = None) -> bool:
        """Let a connection out; return whether it was the last one of *user_id*."""
        del self._connections[connection]
        self._audience = None
        if user_id is None:
            return False
        user = self._users[user_id]
        user.connections -= 1
        if user.connections:
            return False
        del self._users[user_id]
        return True
