"""What the hub wants done; a shell carries these out in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from broadcaster.protocol.connection import Connection

__all__ = ["Effect", "HangUp", "Notify", "Probe", "Push"]


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


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the application, by a webhook, that *name* happened on *channel*; *fields* say what."""

    name: str
    channel: str
    fields: Mapping[str, str | int] = field(default_factory=dict)


Effect: TypeAlias = Push | HangUp | Probe | Notify
