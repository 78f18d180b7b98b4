"""Events on their way to the subscribers of a node: each once, and remembered where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from broadcaster.channels import is_cached
from broadcaster.protocol import frames
from broadcaster.protocol.app import App
from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect, Miss, Push, Record, Relay
from broadcaster.protocol.membership import Membership
from broadcaster.protocol.recent import Recent

__all__ = ["Pushes"]


class Pushes:
    """Pushes what is said to the channels of *membership*, but for what was on them a short time ago.

    *connections* are those that may be left out, by socket id. With *peers* an event of a channel with a
    history is recorded first, and pushed when all nodes hear that it was.
    """

    def __init__(
        self, app: App, membership: Membership, connections: Mapping[str, Connection], *, peers: bool
    ) -> None:
        self._membership = membership
        self._connections = connections
        self._peers = peers
        self._pushed: Recent[tuple[str, str], None] = Recent(
            seconds=app.limits.repeat_window, most=app.limits.repeats_remembered
        )

    def update(self, app: App) -> None:
        """Go on by the rules of *app*."""
        self._pushed.resize(seconds=app.limits.repeat_window, most=app.limits.repeats_remembered)

    def tick(self, now: float) -> None:
        """Forget what was pushed long ago."""
        self._pushed.tick(now)

    def taken(self, relay: Relay) -> list[Effect]:
        """Push an event that this node took first, and have the other nodes do so."""
        if not self._peers:
            return self._event(relay, relayed=False)
        kept = tuple(filter(self._membership.history.keeps, relay.channels))
        if not kept:
            return [*self._event(relay, relayed=False), relay]
        effects: list[Effect] = []
        if rest := tuple(channel for channel in relay.channels if channel not in kept):
            others = replace(relay, channels=rest)
            effects += [*self._event(others, relayed=False), others]
        return effects + self._record(replace(relay, channels=kept), relayed=False)

    def heard(self, relay: Relay, *, relayed: bool) -> list[Effect]:
        """Push an event of one channel that all nodes hear; another one took it, if it is *relayed*."""
        [channel] = relay.channels
        if not self._membership.history.keeps(channel):
            return self._event(relay, relayed=relayed)
        if relay.message_id is not None:
            # Every node that hears it has it recorded, and the first one succeeds.
            return self._record(relay, relayed=relayed)
        return [*self._event(relay, relayed=relayed), Miss(channel)]

    def left_out(self, relay: Relay) -> Connection | None:
        """Return the connection here that is not to have an event."""
        return None if relay.except_socket is None else self._connections.get(relay.except_socket)

    def whisper(self, relay: Relay) -> list[Effect]:
        """Push what a client of another node says."""
        return [
            Push(frames.client_event(relay.name, channel, relay.data, relay.user_id), subscribers.audience)
            for channel in relay.channels
            if (subscribers := self._membership.channels.get(channel)) is not None
            and not self._is_repeat(relay.message_id, channel)
        ]

    def _event(self, relay: Relay, *, relayed: bool) -> list[Effect]:
        """Push an event to everyone on its channels; see `Membership.keep()`."""
        effects: list[Effect] = []
        history = self._membership.history
        left_out = self.left_out(relay)
        for channel in relay.channels:
            subscribers = self._membership.channels.get(channel)
            cached, kept = is_cached(channel), history.keeps(channel) and not self._peers
            if subscribers is None and not cached and not kept:
                continue
            if self._is_repeat(relay.message_id, channel):
                continue
            framed = partial(frames.event, relay.name, channel, relay.data)
            frame = history.add(channel, framed) if kept else framed()
            if subscribers is not None:
                effects.append(Push(frame, subscribers.audience, left_out))
            if cached:
                effects += self._membership.keep(channel, frame, relayed=relayed)
        return effects

    def _record(self, relay: Relay, *, relayed: bool) -> list[Effect]:
        """Have an event recorded, once, on channels that all have a history."""
        channels = tuple(
            channel for channel in relay.channels if not self._is_repeat(relay.message_id, channel)
        )
        effects: list[Effect] = [Record(replace(relay, channels=channels))] if channels else []
        for channel in filter(is_cached, channels):
            frame = frames.event(relay.name, channel, relay.data)
            effects += self._membership.keep(channel, frame, relayed=relayed)
        return effects

    def _is_repeat(self, message_id: str | None, channel: str) -> bool:
        """Whether that message was on *channel* a short time ago; from now on it was."""
        if message_id is None:
            return False
        if (key := (message_id, channel)) in self._pushed:
            return True
        self._pushed.put(key, None)
        return False
