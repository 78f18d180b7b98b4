"""The other nodes, as this one hears them and is heard by them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable

from broadcaster.cluster.bus import Bus
from broadcaster.cluster.envelopes import begins, open_envelope, seal_envelope, seal_termination
from broadcaster.protocol.effects import Effect, Join, Leave, Relay, Terminate
from broadcaster.protocol.hub import Hub

__all__ = ["Peers"]

_logger = logging.getLogger("broadcaster.server")


class Peers:
    """What the hubs of a node hear and say on a *bus*; *perform* carries out what they want then.

    A channel of the first application, whose id *first* returns, is a topic of its own name, as our `redis`
    driver and Laravel publish on; those of others have the id of the application and a colon before it. The
    id and a colon alone are where nodes speak of the application itself.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        first: Callable[[], str],
        perform: Callable[[Hub, list[Effect]], None],
    ) -> None:
        self._bus = bus
        self._first = first
        self._perform = perform
        self._node = secrets.token_hex(8)
        self._own = begins(self._node)
        # Kept, since a reload may make another application the first one.
        self._topics: dict[tuple[Hub, str], str] = {}
        self._channels: dict[str, tuple[Hub, str]] = {}

    @property
    def is_connected(self) -> bool:
        """Whether the other nodes are heard."""
        return self._bus.is_connected

    def open(self, hubs: Iterable[Hub]) -> None:
        """Start on the running event loop, for *hubs*."""
        self._bus.open(self._hear, self._interrupted)
        self.serve(hubs)

    def serve(self, hubs: Iterable[Hub]) -> None:
        """Hear what is said of the applications of *hubs*, and of no others."""
        wanted = {f"{hub.app.id}:": hub for hub in hubs}
        for topic in [topic for topic, (_, channel) in self._channels.items() if not channel]:
            if topic not in wanted:
                del self._channels[topic]
                self._bus.unsubscribe(topic)
        for topic, hub in wanted.items():
            if topic not in self._channels:
                self._channels[topic] = (hub, "")
                self._bus.subscribe(topic, _nothing)

    async def aclose(self, seconds: float) -> None:
        """Say what is still to be said, for up to *seconds*, and stop."""
        self.serve(())
        await self._bus.aclose(seconds)

    def carry_out(self, hub: Hub, effect: Join | Leave | Relay | Terminate) -> None:
        """Do what *hub* wants of the bus."""
        match effect:
            case Join(channel):
                topic = self._topics[hub, channel] = self._topic(hub, channel)
                self._channels[topic] = (hub, channel)
                self._bus.subscribe(topic, lambda: self._perform(hub, hub.joined(channel)))
            case Leave(channel):
                topic = self._topics.pop((hub, channel))
                del self._channels[topic]
                self._bus.unsubscribe(topic)
            case Relay(message_id=message_id):
                # With an id it may come twice, as it does when Redis broke off in the middle of it.
                payload = seal_envelope(
                    effect, node=self._node, message_id=message_id or secrets.token_hex(16)
                )
                for channel in effect.channels:
                    self._bus.publish(self._topic(hub, channel), payload)
            case Terminate():
                topic = f"{hub.app.id}:"
                self._bus.publish(topic, seal_termination(effect, node=self._node))

    def _topic(self, hub: Hub, channel: str) -> str:
        return channel if hub.app.id == self._first() else f"{hub.app.id}:{channel}"

    def _hear(self, topic: str, payload: bytes) -> None:
        hub, channel = self._channels.get(topic, (None, ""))
        if hub is None or payload.startswith(self._own):
            return
        try:
            said = open_envelope(payload, channel)
        except ValueError as error:
            _logger.warning("what was published on %r is left out: %s", topic, error)
            return
        match said:
            case Relay():
                self._perform(hub, hub.relayed(said))
            case Terminate(user_id):
                self._perform(hub, hub.terminated(user_id))

    def _interrupted(self) -> None:
        for hub in {hub for hub, _ in self._topics}:
            hub.interrupted()


def _nothing() -> None:
    """Nobody waits for it."""
