"""How a node is connected with others that serve the same applications."""

from __future__ import annotations

from dataclasses import dataclass, field

from broadcaster.cluster.bus import Bus, LocalBus
from broadcaster.cluster.journal import Journal
from broadcaster.cluster.local import LocalRoster
from broadcaster.cluster.local_journal import LocalJournal
from broadcaster.cluster.roster import Roster

__all__ = ["Group"]


@dataclass(frozen=True, slots=True)
class Group:
    """The *bus* on which nodes hear each other, the *roster* of who is where, the *journal* of what was said.

    Each node has its own.
    """

    bus: Bus = field(default_factory=LocalBus)
    roster: Roster = field(default_factory=LocalRoster)
    journal: Journal = field(default_factory=LocalJournal)
