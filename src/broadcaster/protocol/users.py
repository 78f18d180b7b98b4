"""Who is signed in, and who wants to hear when somebody comes or goes.

Rules: <https://pusher.com/docs/channels/using_channels/watchlist-events/>.
"""

from __future__ import annotations

from collections.abc import Iterable

from broadcaster.protocol import frames
from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.effects import Effect, Join, Leave, Push, Report
from broadcaster.protocol.elsewhere import Change, place_of

__all__ = ["Users"]


class Users:
    """The signed-in connections by user, and the connections that watch a user.

    With *peers* a user may be signed in on another node, and whoever watches one waits to hear of that.
    """

    def __init__(self, *, peers: bool = False) -> None:
        self._peers = peers
        self._connections: dict[str, dict[Connection, None]] = {}
        self._watchers: dict[str, dict[Connection, None]] = {}
        self._elsewhere: dict[str, bool] = {}
        """Each watched user of whom it is known whether other nodes have it."""
        self._unknown: dict[Connection, set[str]] = {}
        """Who has not heard yet who of its watchlist is there, and whom that depends on."""

    def __len__(self) -> int:
        """How many users are signed in."""
        return len(self._connections)

    def connections_of(self, user_id: str) -> list[Connection]:
        """Return the connections of a user, in the order they signed in."""
        return list(self._connections.get(user_id, ()))

    def sign_in(self, connection: Connection, user: User) -> list[Effect]:
        """Note who a connection is, also anew; it hears who of its watchlist is there."""
        effects = self._unwatch(connection)
        connection.user = user
        first = user.id not in self._connections
        self._connections.setdefault(user.id, {})[connection] = None
        effects += self._changed(user.id) if first else []
        return [*effects, *self._watch(connection, user.watchlist)]

    def sign_out(self, connection: Connection) -> list[Effect]:
        """Forget a connection, signed in or not; the watchers of its user hear when it was the last."""
        user = connection.user
        if user is None:
            return []
        effects = self._unwatch(connection)
        connection.user = None
        connections = self._connections[user.id]
        del connections[connection]
        if connections:
            return effects
        del self._connections[user.id]
        return [*effects, *self._changed(user.id)]

    def known(self, user_id: str, *, elsewhere: bool) -> list[Effect]:
        """Note whether other nodes have a user; tell those who have waited for it."""
        if user_id not in self._watchers:
            return []
        self._elsewhere[user_id] = elsewhere
        told: list[Effect] = []
        for connection in list(self._watchers[user_id]):
            unknown = self._unknown.get(connection, set())
            unknown.discard(user_id)
            if not unknown and self._unknown.pop(connection, None) is not None:
                told += self._standing(connection)
        return told

    def learned(self, user_id: str, change: Change) -> list[Effect]:
        """Note that a user came to the other nodes, or went; tell whoever watches it."""
        if user_id not in self._watchers:
            return []
        before, self._elsewhere[user_id] = self._elsewhere.get(user_id, False), change.count > 0
        if user_id in self._connections or before == (change.count > 0):
            return []
        return self._tell(user_id)

    def clear(self) -> list[Effect]:
        """Forget everybody."""
        effects: list[Effect] = []
        if self._peers:
            effects += [Report(place_of(user_id), Change(0)) for user_id in self._connections]
            effects += [Leave(place_of(user_id)) for user_id in self._watchers]
        for everybody in (self._connections, self._watchers, self._elsewhere, self._unknown):
            everybody.clear()
        return effects

    def _is_online(self, user_id: str) -> bool:
        return user_id in self._connections or self._elsewhere.get(user_id, False)

    def _changed(self, user_id: str) -> list[Effect]:
        """Tell that the first connection of a user came, or the last one went."""
        here = user_id in self._connections
        effects: list[Effect] = [Report(place_of(user_id), Change(int(here)))] if self._peers else []
        return effects if self._elsewhere.get(user_id) else [*effects, *self._tell(user_id)]

    def _watch(self, connection: Connection, watchlist: Iterable[str]) -> list[Effect]:
        effects: list[Effect] = []
        unknown: set[str] = set()
        for watched in watchlist:
            if watched not in self._watchers:
                self._watchers[watched] = {}
                effects += [Join(place_of(watched), watch=True)] if self._peers else []
            self._watchers[watched][connection] = None
            if self._peers and watched not in self._elsewhere:
                unknown.add(watched)
        if not unknown:
            return self._standing(connection)
        self._unknown[connection] = unknown
        return effects

    def _standing(self, connection: Connection) -> list[Effect]:
        watchlist = connection.user.watchlist if connection.user is not None else ()
        online = [user_id for user_id in watchlist if self._is_online(user_id)]
        offline = [user_id for user_id in watchlist if not self._is_online(user_id)]
        changes = [(name, ids) for name, ids in (("online", online), ("offline", offline)) if ids]
        return [Push(frames.watchlist_events(changes), (connection,))] if changes else []

    def _tell(self, user_id: str) -> list[Effect]:
        # Those who wait hear of it with the rest of their watchlist.
        watchers = tuple(
            watcher for watcher in self._watchers.get(user_id, ()) if watcher not in self._unknown
        )
        name = "online" if self._is_online(user_id) else "offline"
        return [Push(frames.watchlist_events([(name, [user_id])]), watchers)] if watchers else []

    def _unwatch(self, connection: Connection) -> list[Effect]:
        """Forget what a connection watches."""
        self._unknown.pop(connection, None)
        left: list[Effect] = []
        for watched in connection.user.watchlist if connection.user is not None else ():
            watchers = self._watchers[watched]
            del watchers[connection]
            if not watchers:
                del self._watchers[watched]
                self._elsewhere.pop(watched, None)
                left += [Leave(place_of(watched))] if self._peers else []
        return left
