"""What ends a listener."""

from __future__ import annotations

from broadcaster.errors import BroadcastError

__all__ = ["ConnectionRefused", "FellBehind"]


class ConnectionRefused(BroadcastError):
    """The server will not have this client; *code* is that of the protocol, from 4000 to 4099."""

    def __init__(self, reason: str, *, code: int) -> None:
        super().__init__(f"the server refused the connection with {code}: {reason}")
        self.code = code


class FellBehind(BroadcastError):
    """More events came than a listener may leave waiting; those after *waiting* events are lost to it."""

    def __init__(self, channel: str, waiting: int) -> None:
        super().__init__(
            f"a listener on {channel!r} left {waiting} events waiting, and more came: "
            "take them faster, or let more of them wait"
        )
        self.channel = channel
        self.waiting = waiting
