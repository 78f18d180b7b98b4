"""The other nodes, as this one hears them and is heard by them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence

from broadcaster.cluster.envelopes import (
    begins,
    open_envelope,
    seal_envelope,
    seal_news,
    seal_termination,
)
from broadcaster.cluster.group import Group
from broadcaster.cluster.replicas import News
from broadcaster.cluster.roster import Roster, place_in, split
from broadcaster.protocol.effects import Effect, Join, Keep, Leave, Notify, Relay, Report, Terminate
from broadcaster.protocol.elsewhere import Change, Elsewhere
from broadcaster.protocol.hub import Hub

__all__ = ["Peers"]

_logger = logging.getLogger("broadcaster.server")


class Peers:
    """What the hubs of a node hear and say in a *group*; *perform* carries out what they want then.

    A channel of the first application, whose id *first* returns, is a topic of its own name, as our `redis`
    driver and Laravel publish on; those of others have the id of the application and a colon before it. The
    id and a colon alone are where nodes speak of the application itself.
    """

    def __init__(
        self,
        group: Group,
        *,
        first: Callable[[], str],
        perform: Callable[[Hub, list[Effect]], None],
    ) -> None:
        self._bus = group.bus
        self._roster = group.roster
        self._first = first
        self._perform = perform
        self._node = secrets.token_hex(8)
        self._own = begins(self._node)
        self.published = self.heard = self.unreadable = self.interruptions = 0
        # Kept, since a reload may make another application the first one.
        self._topics: dict[tuple[Hub, str], str] = {}
        self._channels: dict[str, tuple[Hub, str]] = {}
        self._hubs: dict[str, Hub] = {}

    @property
    def roster(self) -> Roster:
        """Who is where on all nodes."""
        return self._roster

    @property
    def is_connected(self) -> bool:
        """Whether the other nodes are heard, and hear of us."""
        return self._bus.is_connected and self._roster.is_connected

    @property
    def unsaid(self) -> int:
        """How many messages the bus could not carry to the other nodes."""
        return self._bus.dropped

    def told(self) -> Sequence[Awaitable[None]]:
        """Return what to await until the other nodes can hear what was said before; see `Bus.told()`."""
        return [*self._bus.told(), *self._roster.told()]

    def open(self, hubs: Iterable[Hub]) -> None:
        """Start on the running event loop, for *hubs*."""
        self._bus.open(self._hear, self._interrupted)
        self._roster.open(self._learned, self._happened, self._tell)
        self.serve(hubs)

    def serve(self, hubs: Iterable[Hub]) -> None:
        """Hear what is said of the applications of *hubs*, and of no others."""
        self._hubs = {hub.app.id: hub for hub in hubs}
        wanted = {f"{app_id}:": hub for app_id, hub in self._hubs.items()}
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
        end = asyncio.get_running_loop().time() + seconds
        # It speaks on the bus too, and of applications.
        await self._roster.aclose(seconds)
        self.serve(())
        await self._bus.aclose(max(0.0, end - asyncio.get_running_loop().time()))

    def carry_out(self, hub: Hub, effect: Join | Keep | Leave | Relay | Report | Terminate) -> None:
        """Do what *hub* wants of its peers."""
        match effect:
            case Join(channel, watch):
                self._join(hub, channel, watch=watch)
            case Leave(channel):
                topic = self._topics.pop((hub, channel))
                del self._channels[topic]
                self._bus.unsubscribe(topic)
                self._roster.unwatch(place_in(hub.app.id, channel))
            case Report(channel, change, tell):
                self._roster.report(place_in(hub.app.id, channel), change, tell=tell)
            case Keep(channel, frame, seconds):
                self._roster.keep(place_in(hub.app.id, channel), frame, seconds)
            case Relay(message_id=message_id):
                # With an id it may come twice, as it does when Redis broke off in the middle of it.
                payload = seal_envelope(
                    effect, node=self._node, message_id=message_id or secrets.token_hex(16)
                )
                self.published += len(effect.channels)
                for channel in effect.channels:
                    self._bus.publish(self._topic(hub, channel), payload)
            case Terminate():
                topic = f"{hub.app.id}:"
                self.published += 1
                self._bus.publish(topic, seal_termination(effect, node=self._node))

    def _join(self, hub: Hub, channel: str, *, watch: bool) -> None:
        topic = self._topics[hub, channel] = self._topic(hub, channel)
        self._channels[topic] = (hub, channel)

        def joined(elsewhere: Elsewhere) -> None:
            self._perform(hub, hub.joined(channel, elsewhere))

        def heard() -> None:
            if watch:
                self._roster.watch(place_in(hub.app.id, channel), joined)
            else:
                joined(Elsewhere())

        self._bus.subscribe(topic, heard)

    def _topic(self, hub: Hub, channel: str) -> str:
        return channel if hub.app.id == self._first() else f"{hub.app.id}:{channel}"

    def _hear(self, topic: str, payload: bytes) -> None:
        hub, channel = self._channels.get(topic, (None, ""))
        if hub is None or payload.startswith(self._own):
            return
        try:
            said, by_a_node = open_envelope(payload, channel)
        except ValueError as error:
            self.unreadable += 1
            _logger.warning("what was published on %r is left out: %s", topic, error)
            return
        self.heard += 1
        match said:
            case Relay():
                hub.tally.events["bus"] += 1
                self._perform(hub, (hub.relayed if by_a_node else hub.published)(said))
            case Terminate(user_id):
                self._perform(hub, hub.terminated(user_id))
            case News():
                self._roster.hear(place_in(hub.app.id, channel), said)

    def _tell(self, place: str, news: News) -> None:
        app_id, channel = split(place)
        if (hub := self._hubs.get(app_id)) is not None:
            self._bus.publish(self._topic(hub, channel), seal_news(news, node=self._node))

    def _learned(self, place: str, change: Change) -> None:
        app_id, channel = split(place)
        if (hub := self._hubs.get(app_id)) is not None:
            self._perform(hub, hub.learned(channel, change))

    def _happened(self, place: str, name: str, user_id: str | None) -> None:
        app_id, channel = split(place)
        if (hub := self._hubs.get(app_id)) is not None:
            fields = {} if user_id is None else {"user_id": user_id}
            self._perform(hub, [Notify(name, channel, fields)])

    def _interrupted(self) -> None:
        self.interruptions += 1
        for hub in {hub for hub, _ in self._topics}:
            hub.interrupted()
        self._roster.interrupted()


def _nothing() -> None:
    """Nobody waits for it."""
