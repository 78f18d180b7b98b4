"""Who waits for a channel: a client is let on when this node hears what the others say there."""

from __future__ import annotations

from dataclasses import dataclass

from broadcaster.protocol.connection import Connection, User

__all__ = ["Waiting", "WaitingRoom"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A *connection* that may join, as *member* on a presence channel; see `Subscribe` for *last_id*."""

    connection: Connection
    member: User | None
    last_id: str | None


class WaitingRoom:
    """The connections that wait, by channel and in the order they came."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[Connection, Waiting]] = {}

    def enter(self, channel: str, waiting: Waiting) -> bool:
        """Let a connection wait, or wait on with other data; return whether it is the first one."""
        first = channel not in self._channels
        self._channels.setdefault(channel, {})[waiting.connection] = waiting
        waiting.connection.waiting.add(channel)
        return first

    def leave(self, channel: str, connection: Connection) -> bool:
        """Let a connection go that waits; return whether it was the last one."""
        connection.waiting.discard(channel)
        others = self._channels[channel]
        del others[connection]
        if others:
            return False
        del self._channels[channel]
        return True

    def empty(self, channel: str) -> list[Waiting]:
        """Return everybody who waits for *channel*, and forget them."""
        found = list(self._channels.pop(channel, {}).values())
        for waiting in found:
            waiting.connection.waiting.discard(channel)
        return found

    def clear(self) -> list[str]:
        """Forget everybody; return the channels that somebody waited for."""
        channels = list(self._channels)
        for channel in channels:
            self.empty(channel)
        return channels
