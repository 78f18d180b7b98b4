"""Who is signed in, and who wants to hear when somebody comes or goes.

Rules: <https://pusher.com/docs/channels/using_channels/watchlist-events/>.
"""

from __future__ import annotations

from collections.abc import Iterable

from broadcaster.protocol import frames
from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.effects import Effect, Push

__all__ = ["Users"]


class Users:
    """The signed-in connections by user, and the connections that watch a user."""

    def __init__(self) -> None:
        self._connections: dict[str, dict[Connection, None]] = {}
        self._watchers: dict[str, dict[Connection, None]] = {}

    def __len__(self) -> int:
        """How many users are signed in."""
        return len(self._connections)

    def connections_of(self, user_id: str) -> list[Connection]:
        """Return the connections of a user, in the order they signed in."""
        return list(self._connections.get(user_id, ()))

    def sign_in(self, connection: Connection, user: User) -> list[Effect]:
        """Note who a connection is, also anew; it hears who of its watchlist is there."""
        self._unwatch(connection)
        connection.user = user
        first = user.id not in self._connections
        self._connections.setdefault(user.id, {})[connection] = None
        effects = self._tell("online", user.id) if first else []
        for watched in user.watchlist:
            self._watchers.setdefault(watched, {})[connection] = None
        return [*effects, *self._standing(connection, user.watchlist)]

    def sign_out(self, connection: Connection) -> list[Effect]:
        """Forget a connection, signed in or not; the watchers of its user hear when it was the last."""
        user = connection.user
        if user is None:
            return []
        self._unwatch(connection)
        connection.user = None
        connections = self._connections[user.id]
        del connections[connection]
        if connections:
            return []
        del self._connections[user.id]
        return self._tell("offline", user.id)

    def clear(self) -> None:
        """Forget everybody."""
        self._connections.clear()
        self._watchers.clear()

    def _standing(self, connection: Connection, watchlist: Iterable[str]) -> list[Effect]:
        online = [user_id for user_id in watchlist if user_id in self._connections]
        offline = [user_id for user_id in watchlist if user_id not in self._connections]
        changes = [(name, ids) for name, ids in (("online", online), ("offline", offline)) if ids]
        return [Push(frames.watchlist_events(changes), (connection,))] if changes else []

    def _tell(self, name: str, user_id: str) -> list[Effect]:
        watchers = self._watchers.get(user_id)
        return [Push(frames.watchlist_events([(name, [user_id])]), tuple(watchers))] if watchers else []

    def _unwatch(self, connection: Connection) -> None:
        for watched in connection.user.watchlist if connection.user is not None else ():
            watchers = self._watchers[watched]
            del watchers[connection]
            if not watchers:
                del self._watchers[watched]
