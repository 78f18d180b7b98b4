"""What the hub remembers of one WebSocket connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from broadcaster.protocol.rates import Bucket

__all__ = ["Connection", "User", "Wire"]


class Wire(Protocol):
    """The shell's side of a connection; the hub carries it along and never touches it."""

    @property
    def deflated(self) -> bool:
        """Whether it takes frames that are compressed."""
        ...

    def write(self, payload: Any, /) -> object:
        """Send one encoded frame, without blocking; what a slow reader leaves behind is bounded."""

    def probe(self) -> None:
        """Ask the peer for a sign of life, with a WebSocket ping."""

    def hang_up(self, code: int, reason: str) -> None:
        """Close the connection with a close code."""


@dataclass(frozen=True, slots=True)
class User:
    """Who a connection signed in as, or is on a presence channel; *info* is the `user_info`, or None.

    *watchlist* are the ids of the users whose coming and going it wants to hear of.
    """

    id: str
    info: Any
    watchlist: tuple[str, ...] = ()


class Connection:
    """One connection, known to clients by its *socket_id*, from the network's *address*."""

    __slots__ = (
        "_burst",
        "_second",
        "address",
        "authorized",
        "channels",
        "frames",
        "opened",
        "probed",
        "seen",
        "socket_id",
        "user",
        "waiting",
        "wire",
    )

    def __init__(self, socket_id: str, wire: Wire, address: str = "") -> None:
        self.socket_id = socket_id
        self.address = address
        self.frames = Bucket()
        self.wire = wire
        self.channels: dict[str, str | None] = {}
        """Each subscribed channel, with the connection's user id there (None outside of presence)."""
        self.waiting: set[str] = set()
        """The channels that it waits to be let onto, until other nodes are heard there."""
        self.user: User | None = None
        self.authorized = False
        """Whether it ever signed in, or joined a channel that takes a signature."""
        self.opened = 0.0
        self.seen = 0.0
        self.probed: float | None = None
        """When the peer was asked for a sign of life that it has not given yet."""
        self._second = 0
        self._burst = 0

    def touch(self, now: float) -> None:
        """Note a sign of life: any frame at all, control frames included."""
        self.seen = now
        self.probed = None

    def take_turn(self, now: float, *, per_second: int) -> bool:
        """Count one client event; False when the second that *now* lies in has no room for it."""
        if (second := int(now)) != self._second:
            self._second, self._burst = second, 0
        self._burst += 1
        return self._burst <= per_second
