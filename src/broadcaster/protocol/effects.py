"""What the hub wants done; a shell carries these out in order.

What there is one of for every message is a named tuple: a frozen dataclass takes twice as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.elsewhere import Change

__all__ = [
    "Effect",
    "HangUp",
    "Join",
    "Keep",
    "Leave",
    "Miss",
    "Notify",
    "Probe",
    "Push",
    "Recall",
    "Record",
    "Relay",
    "Report",
    "Terminate",
]


class Push(NamedTuple):
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


class Notify(NamedTuple):
    """Tell the application, by a webhook, that *name* happened on *channel*; *fields* say what."""

    name: str
    channel: str
    fields: Mapping[str, str | int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Join:
    """Hear what other nodes say on *channel*, and call `Hub.joined()` as soon as that is so.

    With *watch* it wants to know who is there too, then and whenever that changes; with *history* what is
    recorded of it, and `Records.begin()` comes before that. A channel can be the place of a user.
    """

    channel: str
    watch: bool = False
    history: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Nobody here is on *channel* any more, nor waits for it."""

    channel: str


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the other nodes what is new here on *channel*, or at the place of a user.

    With *tell* those that watch it are to hear of it at once.
    """

    channel: str
    change: Change
    tell: bool = True


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the *frame* of the last event of a cache channel for all nodes, for so many *seconds*."""

    channel: str
    frame: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Relay:
    """Tell the other nodes an event on *channels*.

    A *whisper* is from a client, on a presence channel in the name of *user_id*.
    """

    name: str
    channels: tuple[str, ...]
    data: str
    except_socket: str | None = None
    message_id: str | None = None
    whisper: bool = False
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Record an event in the history of each of its channels, and have all nodes hear that it was.

    Then it comes by `Records.recorded()`; where that takes its time, by `Records.delayed()` before.
    """

    relay: Relay


@dataclass(frozen=True, slots=True)
class Miss:
    """Record that the history of *channel* lacks an event: whoever comes back from before it has a gap."""

    channel: str


@dataclass(frozen=True, slots=True)
class Recall:
    """Find what was recorded on *channel* after *last_id*, and call `Records.recalled()` for *connection*."""

    channel: str
    connection: Connection
    last_id: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Have the other nodes hang up on every connection that signed in as *user_id*."""

    user_id: str


Effect: TypeAlias = (
    Push | HangUp | Probe | Notify | Join | Leave | Report | Keep | Relay | Record | Miss | Recall | Terminate
)
