"""When subscribers hear how many they are.

Rules: <https://pusher.com/docs/channels/using_channels/events/#pusher-subscription_count>.
"""

from __future__ import annotations

from collections.abc import Mapping

from broadcaster.channels import Kind, kind_of
from broadcaster.protocol import frames
from broadcaster.protocol.effects import Effect, Notify, Push
from broadcaster.protocol.subscribers import Subscribers

__all__ = ["Counts"]

_AT_ONCE = 100
"""Up to so many subscribers hear of every change."""

_PAUSE = 5.0
"""How many seconds lie between two counts on a channel with more."""


class Counts:
    """Tells the number of subscribers: at once on small channels, on big ones every few seconds."""

    def __init__(self) -> None:
        self._late: dict[str, bool] = {}
        """The channels whose count was put off; whether it changed on this node."""
        self._told = 0.0

    def changed(self, channel: str, subscribers: Subscribers, *, here: bool = True) -> list[Effect]:
        """Tell *subscribers* how many they are, now or later; there is at least one.

        The application hears of it from the node on which it changed: *here*.
        """
        if kind_of(channel) in {Kind.PRESENCE, Kind.USER}:
            return []
        here |= self._late.pop(channel, False)
        if subscribers.total > _AT_ONCE:
            self._late[channel] = here
            return []
        return _tell(channel, subscribers, here=here)

    def tick(self, now: float, channels: Mapping[str, Subscribers]) -> list[Effect]:
        """Tell what was put off, on those of *channels* that are still there."""
        if not self._late or now - self._told < _PAUSE:
            return []
        late, self._late, self._told = self._late, {}, now
        return [
            effect
            for channel, here in late.items()
            if channel in channels
            for effect in _tell(channel, channels[channel], here=here)
        ]


def _tell(channel: str, subscribers: Subscribers, *, here: bool) -> list[Effect]:
    count = subscribers.total
    push = Push(frames.subscription_count(channel, count), subscribers.audience)
    return [push, Notify("subscription_count", channel, {"subscription_count": count})] if here else [push]
