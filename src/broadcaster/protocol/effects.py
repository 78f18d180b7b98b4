"""What the hub wants done; a shell carries these out in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from broadcaster.protocol.connection import Connection

__all__ = ["Effect", "HangUp", "Probe", "Push"]


@dataclass(frozen=True, slots=True)
class Push:
    """Send *text* as one frame to every connection in *to*, but not to *without*."""

    text: str
    to: tuple[Connection, ...]
    without: Connection | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close *connection* with *code*; the hub has forgotten it already."""

    connection: Connection
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Send *connection* a WebSocket ping: every client answers that, unlike a `pusher:ping`."""

    connection: Connection


Effect: TypeAlias = Push | HangUp | Probe
