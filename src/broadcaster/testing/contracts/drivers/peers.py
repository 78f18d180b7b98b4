"""What a driver under test delivers to, and what arrives there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from broadcaster.drivers.base import Driver

__all__ = ["PATIENCE", "HttpPeer", "Peer", "Received", "RemotePeer"]

PATIENCE = 20.0
"""Seconds within which everything here must have happened."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it reached the subscribers of one channel; *data* is decoded JSON."""

    name: str
    channel: str
    data: Any
    except_socket: str | None = None


class Peer(Protocol):
    """What a driver under test delivers to, with somebody listening on the other side."""

    socket_id: str
    """A connection that can be left out, as a message names it."""

    def driver(self, *, timeout: float | None = None, retries: int | None = None) -> Driver:
        """Make a driver that delivers to this peer.

        Every wait of it lasts *timeout* seconds at most, and it tries again *retries* times; None means
        the driver's own default.
        """
        ...

    def listen(self, *channels: str) -> None:
        """Be ready to receive what is delivered to these channels from now on."""
        ...

    def received(self, count: int) -> list[Received]:
        """Wait for *count* messages; return all that came, in order within each channel.

        A message on several channels came once on each. Fails when they do not come in time.
        """
        ...


class RemotePeer(Peer, Protocol):
    """A peer on the other side of a connection, which can be made to fail."""

    secrets: Sequence[str]
    """What the driver was given and must never show."""

    def stop(self) -> None:
        """Go away: connections break, and new ones are refused."""
        ...

    def start(self) -> None:
        """Come back at the same address, with those who listened."""
        ...

    def stall(self) -> None:
        """Let connections open, and answer nothing."""
        ...

    def resume(self) -> None:
        """Answer again."""
        ...

    def garble(self) -> None:
        """Answer from now on with what is not the peer's protocol at all."""
        ...


class HttpPeer(RemotePeer, Protocol):
    """A peer that speaks HTTP."""

    def answer(self, status: int, body: str = "", *, retry_after: str | None = None) -> None:
        """Answer the next request so, once, instead of taking it."""
        ...

    def asked(self) -> int:
        """Return how many requests came, those included that were not taken."""
        ...
