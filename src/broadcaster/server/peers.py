"""The other nodes, as this one hears them and is heard by them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

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
from broadcaster.protocol.effects import (
    Effect,
    Join,
    Keep,
    Leave,
    Miss,
    Notify,
    Recall,
    Record,
    Relay,
    Report,
    Terminate,
)
from broadcaster.protocol.elsewhere import Change, Elsewhere
from broadcaster.protocol.hub import Hub
from broadcaster.server.histories import Histories

__all__ = ["ForPeers", "Peers"]

_logger = logging.getLogger("broadcaster.server")

ForPeers: TypeAlias = Join | Keep | Leave | Miss | Recall | Record | Relay | Report | Terminate
"""The effects that are for other nodes to have."""


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
        self._histories = Histories(
            group.journal,
            node=self._node,
            own=self._own,
            topic=lambda hub, channel: self._topics.get((hub, channel)) or self._topic(hub, channel),
            find=lambda topic: self._channels.get(topic, (None, "")),
            perform=perform,
        )
        self.published = self._heard = self._unreadable = self.interruptions = 0
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
        journal = self._histories.journal
        return self._bus.is_connected and self._roster.is_connected and journal.is_connected

    @property
    def unsaid(self) -> int:
        """How many messages could not be carried to the other nodes."""
        return self._bus.dropped + self._histories.journal.dropped

    @property
    def heard(self) -> int:
        """How much others said that was heard."""
        return self._heard + self._histories.heard

    @property
    def unreadable(self) -> int:
        """How much was heard that is no event."""
        return self._unreadable + self._histories.unreadable

    def told(self) -> Sequence[Awaitable[None]]:
        """Return what to await until the other nodes can hear what was said before; see `Bus.told()`."""
        return [*self._bus.told(), *self._histories.journal.told(), *self._roster.told()]

    def open(self, hubs: Iterable[Hub]) -> None:
        """Start on the running event loop, for *hubs*."""
        self._bus.open(self._hear, self._interrupted)
        self._histories.open()
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
        await asyncio.gather(self._roster.aclose(seconds), self._histories.journal.aclose(seconds))
        self.serve(())
        await self._bus.aclose(max(0.0, end - asyncio.get_running_loop().time()))

    def carry_out(self, hub: Hub, effect: ForPeers) -> None:
        """Do what *hub* wants of its peers."""
        match effect:
            case Join():
                self._join(hub, effect)
            case Leave(channel):
                topic = self._topics.pop((hub, channel))
                del self._channels[topic]
                self._bus.unsubscribe(topic)
                self._histories.journal.unfollow(topic)
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
            case Record(relay):
                self.published += len(relay.channels)
                self._histories.carry_out(hub, effect)
            case Miss() | Recall():
                self._histories.carry_out(hub, effect)
            case Terminate():
                topic = f"{hub.app.id}:"
                self.published += 1
                self._bus.publish(topic, seal_termination(effect, node=self._node))

    def _join(self, hub: Hub, join: Join) -> None:
        channel = join.channel
        topic = self._topics[hub, channel] = self._topic(hub, channel)
        self._channels[topic] = (hub, channel)

        def joined(elsewhere: Elsewhere) -> None:
            self._perform(hub, hub.joined(channel, elsewhere))

        def followed() -> None:
            if join.watch:
                self._roster.watch(place_in(hub.app.id, channel), joined)
            else:
                joined(Elsewhere())

        def heard() -> None:
            if join.history:
                self._histories.follow(hub, channel, followed)
            else:
                followed()

        self._bus.subscribe(topic, heard)

    def _topic(self, hub: Hub, channel: str) -> str:
        return channel if hub.app.id == self._first() else f"{hub.app.id}:{channel}"

    def _hear(self, topic: str, payload: bytes) -> None:
        hub, channel = self._channels.get(topic, (None, ""))
        if hub is None or payload.startswith(self._own) or self._histories.hear(topic, payload):
            return
        try:
            said, by_a_node = open_envelope(payload, channel)
        except ValueError as error:
            self._unreadable += 1
            _logger.warning("what was published on %r is left out: %s", topic, error)
            return
        self._heard += 1
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
        self._histories.journal.interrupted()


def _nothing() -> None:
    """Nobody waits for it."""
