"""Events on their way to the subscribers of a node: each once, and remembered where that is wanted."""

from __future__ import annotations

from functools import partial

from broadcaster.channels import is_cached
from broadcaster.protocol import frames
from broadcaster.protocol.app import App
from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect, Push, Relay
from broadcaster.protocol.membership import Membership
from broadcaster.protocol.recent import Recent

__all__ = ["Pushes"]


class Pushes:
    """Pushes what is said to the channels of *membership*, but for what was on them a short time ago."""

    def __init__(self, app: App, membership: Membership) -> None:
        self._membership = membership
        self._pushed: Recent[tuple[str, str], None] = Recent(
            seconds=app.limits.repeat_window, most=app.limits.repeats_remembered
        )

    def update(self, app: App) -> None:
        """Go on by the rules of *app*."""
        self._pushed.resize(seconds=app.limits.repeat_window, most=app.limits.repeats_remembered)

    def tick(self, now: float) -> None:
        """Forget what was pushed long ago."""
        self._pushed.tick(now)

    def event(self, relay: Relay, *, left_out: Connection | None, relayed: bool) -> list[Effect]:
        """Push an event to everyone on its channels, *left_out* left out; see `Membership.keep()`."""
        effects: list[Effect] = []
        history = self._membership.history
        for channel in relay.channels:
            subscribers = self._membership.channels.get(channel)
            cached, kept = is_cached(channel), history.keeps(channel)
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

    def whisper(self, relay: Relay) -> list[Effect]:
        """Push what a client of another node says."""
        return [
            Push(frames.client_event(relay.name, channel, relay.data, relay.user_id), subscribers.audience)
            for channel in relay.channels
            if (subscribers := self._membership.channels.get(channel)) is not None
            and not self._is_repeat(relay.message_id, channel)
        ]

    def _is_repeat(self, message_id: str | None, channel: str) -> bool:
        """Whether that message was on *channel* a short time ago; from now on it was."""
        if message_id is None:
            return False
        if (key := (message_id, channel)) in self._pushed:
            return True
        self._pushed.put(key, None)
        return False
