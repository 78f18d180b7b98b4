"""Who is subscribed to one channel, and which users are present on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.elsewhere import Change

__all__ = ["Audience", "Subscribers"]


class Audience(tuple[Connection, ...]):  # noqa: SLOT001 - a tuple takes no slot that is not empty
    """The connections of a channel, in the order they came: the same object until one comes or goes.

    *crowd* is the shell's. It may keep there what it has made of them, so as not to touch each one anew.
    """

    crowd: Any = None


@dataclass(slots=True)
class _Present:
    """A user with a connection, here or *elsewhere*; *info* is what the first that we know of brought."""

    info: Any
    connections: int = 0
    elsewhere: bool = False


class Subscribers:
    """The connections of one channel, in the order they came; and who is on it on other nodes."""

    __slots__ = ("_audience", "_connections", "_elsewhere", "_held", "_users")

    def __init__(self) -> None:
        self._connections: dict[Connection, None] = {}
        self._users: dict[str, _Present] = {}
        self._audience: Audience | None = None
        self._elsewhere = 0
        self._held: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def total(self) -> int:
        """How many connections are subscribed, on all nodes."""
        return len(self._connections) + self._elsewhere

    @property
    def audience(self) -> Audience:
        """Every connection here."""
        if self._audience is None:
            self._audience = Audience(self._connections)
        return self._audience

    @property
    def hearing(self) -> tuple[Connection, ...]:
        """Every connection here, but those on hold."""
        if not self._held:
            return self.audience
        return tuple(connection for connection in self.audience if connection not in self._held)

    def hold(self, connection: Connection, last_id: str) -> None:
        """Let a connection hear nothing new until it has what came after *last_id*."""
        self._held[connection] = last_id

    def release(self, connection: Connection, last_id: str) -> bool:
        """Let a connection hear what is new; False where it does not wait for what came after *last_id*."""
        if self._held.get(connection) != last_id:
            return False
        del self._held[connection]
        return True

    @property
    def members(self) -> dict[str, Any]:
        """The users present: id to info, each once however many connections it has."""
        return {user_id: user.info for user_id, user in self._users.items()}

    @property
    def user_count(self) -> int:
        """How many users are present."""
        return len(self._users)

    def is_member(self, user_id: str) -> bool:
        """Whether that user is present."""
        return user_id in self._users

    def add(self, connection: Connection, user_id: str | None = None, info: Any = None) -> bool:
        """Let a connection in; return whether *user_id* was not present before."""
        self._connections[connection] = None
        self._audience = None
        if user_id is None:
            return False
        is_new = user_id not in self._users
        self._users.setdefault(user_id, _Present(info)).connections += 1
        return is_new

    def remove(self, connection: Connection, user_id: str | None = None) -> bool:
        """Let a connection out; return whether *user_id* is not present any more."""
        del self._connections[connection]
        self._held.pop(connection, None)
        self._audience = None
        if user_id is None:
            return False
        user = self._users[user_id]
        user.connections -= 1
        return self._forget(user_id)

    def is_here(self, user_id: str) -> bool:
        """Whether that user has a connection on this node."""
        user = self._users.get(user_id)
        return user is not None and user.connections > 0

    def learn(self, change: Change) -> Change:
        """Note what is new on other nodes; return what of it is new for those here, with the new total."""
        self._elsewhere = change.count
        came = {user_id: info for user_id, info in change.came.items() if user_id not in self._users}
        for user_id, info in change.came.items():
            self._users.setdefault(user_id, _Present(info)).elsewhere = True
        known = [user_id for user_id in change.gone if user_id in self._users]
        for user_id in known:
            self._users[user_id].elsewhere = False
        return Change(self.total, came, tuple(user_id for user_id in known if self._forget(user_id)))

    def _forget(self, user_id: str) -> bool:
        user = self._users[user_id]
        if user.connections or user.elsewhere:
            return False
        del self._users[user_id]
        return True
