"""The histories that all nodes share, as this one adds to them and follows them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace

from broadcaster.cluster.envelopes import open_envelope, open_recorded, seal_envelope
from broadcaster.cluster.journal import Entry, Journal, Keeping, Progress
from broadcaster.protocol.effects import Effect, Miss, Recall, Record, Relay
from broadcaster.protocol.hub import Hub
from broadcaster.protocol.positions import NOWHERE
from broadcaster.protocol.records import Recorded

__all__ = ["Histories"]

_logger = logging.getLogger("broadcaster.server")

_PAUSE = 1.0
"""Seconds between two lines in the log."""


class Histories:
    """What the hubs of the node *own* have recorded in a *journal*, and hear of it.

    *topic* tells where a channel of a hub is, and *find* the other way round; *own* is how all begins that
    this node says.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        node: str,
        own: bytes,
        topic: Callable[[Hub, str], str],
        find: Callable[[str], tuple[Hub | None, str]],
        perform: Callable[[Hub, list[Effect]], None],
    ) -> None:
        self.journal = journal
        self._node = node
        self._own = own
        self._topic = topic
        self._find = find
        self._perform = perform
        self.heard = self.unreadable = 0
        self._gaps = 0
        self._logged_at = float("-inf")

    def open(self) -> None:
        """Start on the running event loop."""
        self.journal.open(self._told)

    def carry_out(self, hub: Hub, effect: Record | Miss | Recall) -> None:
        """Do what *hub* wants of its histories."""
        match effect:
            case Record(relay):
                name = relay.message_id or secrets.token_hex(16)
                for channel in relay.channels:
                    self._record(hub, replace(relay, channels=(channel,), message_id=name), name)
            case Miss(channel):
                self.journal.miss(self._topic(hub, channel), _keeping(hub))
            case Recall(channel, connection, last_id):

                def recalled(found: Iterable[Entry] | None) -> None:
                    missed = None if found is None else self._read(found, channel)
                    self._perform(hub, hub.records.recalled(channel, connection, last_id, missed))

                self.journal.recall(self._topic(hub, channel), last_id, recalled)

    def follow(self, hub: Hub, channel: str, ready: Callable[[], None]) -> None:
        """Have *hub* hear what is recorded on *channel* from when *ready* is called."""

        def begin(latest: str | None) -> None:
            hub.records.begin(channel, latest or NOWHERE)
            ready()

        self.journal.follow(self._topic(hub, channel), _keeping(hub), begin)

    def hear(self, topic: str, payload: bytes) -> bool:
        """Take what was heard on the bus, if it is for the journal; return whether it is."""
        if (entry := open_recorded(payload)) is None:
            return False
        self.journal.hear(topic, entry)
        return True

    def _record(self, hub: Hub, relay: Relay, name: str) -> None:
        [channel] = relay.channels
        self.journal.record(
            self._topic(hub, channel),
            seal_envelope(relay, node=self._node, message_id=name),
            name,
            _keeping(hub),
            lambda: self._perform(hub, hub.records.delayed(relay)),
        )

    def _told(self, topic: str, progress: Progress) -> None:
        hub, channel = self._find(topic)
        if hub is None:
            return
        if progress.missed:
            self._note_gap(channel)
        heard = sum(not entry.payload.startswith(self._own) for entry in progress.entries if entry.payload)
        hub.tally.events["bus"] += heard
        self.heard += heard
        entries = self._read(progress.entries, channel)
        missed, late = progress.missed, progress.late
        self._perform(hub, hub.records.recorded(channel, entries, progress.latest, missed=missed, late=late))

    def _read(self, entries: Iterable[Entry], channel: str) -> list[Recorded]:
        read: list[Recorded] = []
        for entry in entries:
            if not entry.payload:
                continue
            try:
                said, _ = open_envelope(entry.payload, channel)
            except ValueError as error:
                self.unreadable += 1
                _logger.warning("what was recorded on %r is left out: %s", channel, error)
                continue
            if isinstance(said, Relay):
                read.append((entry.id, said))
        return read

    def _note_gap(self, channel: str) -> None:
        """Log it; after a break there may be one on every channel, and a line for each would help nobody."""
        self._gaps += 1
        if (now := asyncio.get_running_loop().time()) - self._logged_at >= _PAUSE:
            _logger.warning("events may be missing on %r; gaps so far: %d", channel, self._gaps)
            self._logged_at = now


def _keeping(hub: Hub) -> Keeping:
    limits = hub.app.limits
    return Keeping(limits.history_events, limits.history_seconds, limits.repeat_window)
