"""What has happened to one application on one node, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Plain numbers that only grow; whoever wants to see them reads them.

    The keys of *events* are where they came from: `api`, `local`, `bus` or `client`. Those of *unsigned* are
    what was not signed as it should be: `api`, `channel` or `user`; those of *limited* what came too fast:
    `api`, `client_event` or `frame`. Those of *closed* are close codes.
    Of channels with a history *replayed* are the events that reached a client late, and *gaps* the times that
    one was told that some may be missing; each counts once for each client.
    """

    opened: int = 0
    closed: Counter[int] = field(default_factory=Counter)
    frames_received: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    events: Counter[str] = field(default_factory=Counter)
    unsigned: Counter[str] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)
    slow_readers: int = 0
    replayed: int = 0
    gaps: int = 0
