"""How a node is connected with others that serve the same applications."""

from __future__ import annotations

from dataclasses import dataclass, field

from broadcaster.cluster.bus import Bus, LocalBus
from broadcaster.cluster.local import LocalRoster
from broadcaster.cluster.roster import Roster

__all__ = ["Group"]


@dataclass(frozen=True, slots=True)
class Group:
    """The *bus* on which nodes hear each other, and the *roster* of who is where; each node has its own."""

    bus: Bus = field(default_factory=LocalBus)
    roster: Roster = field(default_factory=LocalRoster)
