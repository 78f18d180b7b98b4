"""Events as they come out of the history that all nodes share: in one order, each with its id."""

from __future__ import annotations

import math
from collections.abc import Sequence

from broadcaster.channels import is_cached
from broadcaster.protocol import frames
from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect, Push, Relay
from broadcaster.protocol.membership import Membership
from broadcaster.protocol.pushes import Pushes
from broadcaster.protocol.recent import Recent
from broadcaster.protocol.tally import Tally

__all__ = ["Recorded", "Records"]

_REMEMBERED = 20_000
_SECONDS = 60

Recorded = tuple[str, Relay]
"""An event with its id."""


class Records:
    """Pushes what was recorded to the channels of *membership*, and what cannot be now.

    Where a history is out of reach an event is pushed without an id, and recorded later; it is not pushed
    again then.
    """

    def __init__(self, membership: Membership, pushes: Pushes, tally: Tally) -> None:
        self._membership = membership
        self._pushes = pushes
        self._tally = tally
        # However long it takes: it comes in the end, or is too old to come again.
        self._ahead: Recent[tuple[str, str], None] = Recent(seconds=math.inf, most=_REMEMBERED)
        self._came: Recent[tuple[str, str], None] = Recent(seconds=_SECONDS, most=_REMEMBERED)

    def tick(self, now: float) -> None:
        """Forget what came long ago."""
        self._came.tick(now)

    def begin(self, channel: str, latest: str) -> None:
        """Note that what is recorded after the id *latest* comes, where a `Join` wanted that."""
        self._membership.positions.begin(channel, latest)

    def recorded(
        self, channel: str, entries: Sequence[Recorded], latest: str, *, missed: bool, late: bool
    ) -> list[Effect]:
        """Push what is new in the history of *channel*, up to the id *latest*.

        *missed* says that before it some may be missing, *late* that it is not as new as it should be.
        """
        membership = self._membership
        membership.positions.advance(channel, latest)
        if (subscribers := membership.channels.get(channel)) is None:
            return []
        effects: list[Effect] = []
        audience = subscribers.hearing
        if missed:
            self._tally.gaps += len(audience)
            effects.append(Push(frames.gap(channel, latest), audience))
        keeps = membership.history.keeps(channel)
        for event_id, relay in entries:
            if not keeps:
                # Another node knows other rules, for as long as they are being changed.
                effects += self._pushes.heard(relay, relayed=True)
                continue
            if self._is_ahead(relay, channel):
                continue
            frame = frames.event(relay.name, channel, relay.data, event_id)
            effects.append(Push(frame, audience, self._pushes.left_out(relay)))
            self._tally.replayed += len(audience) if late else 0
            if is_cached(channel):
                effects += membership.keep(channel, frame, relayed=True)
        return effects

    def delayed(self, relay: Relay) -> list[Effect]:
        """Push an event of one channel at once, which is recorded later."""
        [channel] = relay.channels
        subscribers = self._membership.channels.get(channel)
        key = relay.message_id or "", channel
        if subscribers is None or key in self._came:
            return []
        self._ahead.put(key, None)
        frame = frames.event(relay.name, channel, relay.data)
        return [Push(frame, subscribers.audience, self._pushes.left_out(relay))]

    def recalled(
        self, channel: str, connection: Connection, last_id: str, missed: Sequence[Recorded] | None
    ) -> list[Effect]:
        """Push what a connection has *missed* since *last_id*, and let it hear what is new.

        None where something may be missing.
        """
        subscribers = self._membership.channels.get(channel)
        if subscribers is None or not subscribers.release(connection, last_id):
            return []
        if missed is None:
            return self._membership.gap(connection, channel)
        self._tally.replayed += len(missed)
        return [
            Push(frames.event(relay.name, channel, relay.data, event_id), (connection,))
            for event_id, relay in missed
        ]

    def _is_ahead(self, relay: Relay, channel: str) -> bool:
        """Whether an event was pushed before it was recorded; if not, it comes now."""
        key = relay.message_id or "", channel
        if key in self._ahead:
            self._ahead.drop(key)
            return True
        self._came.put(key, None)
        return False
