"""Which connection is on which channel: joining, leaving, and who hears of it."""

from __future__ import annotations

from typing import Any

from broadcaster.channels import Kind, check_name, is_cached, kind_of
from broadcaster.errors import InvalidChannelName
from broadcaster.protocol import frames
from broadcaster.protocol.app import App
from broadcaster.protocol.commands import Subscribe
from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.counts import Counts
from broadcaster.protocol.effects import Effect, Join, Keep, Leave, Notify, Push, Recall, Report
from broadcaster.protocol.elsewhere import Change, Elsewhere
from broadcaster.protocol.history import History
from broadcaster.protocol.positions import NOWHERE, Positions, is_id
from broadcaster.protocol.recent import Recent
from broadcaster.protocol.subscribers import Subscribers
from broadcaster.protocol.tally import Tally
from broadcaster.protocol.verification import SubscriptionRefused, Verifier
from broadcaster.protocol.waiting import Waiting, WaitingRoom

__all__ = ["Membership"]


class Membership:
    """The channels of one application on one node; with *peers* other nodes have them too."""

    def __init__(self, app: App, *, epoch: str, peers: bool, tally: Tally) -> None:
        self._tally = tally
        self._peers = peers
        self._waiting = WaitingRoom()
        self.history = History(app.history, app.limits, epoch=epoch)
        self.positions = Positions()
        self.channels: dict[str, Subscribers] = {}
        self._counts = Counts()
        self._last: Recent[str, str] = Recent(seconds=app.limits.cache_seconds, most=app.limits.cached_events)
        self.update(app)

    def update(self, app: App) -> None:
        """Go on by the rules of *app*; who is on a channel stays there."""
        self._verifier = Verifier(app, self._tally)
        self._limits = app.limits
        self._counting = app.subscription_counts
        self.history.update(app.history, app.limits)
        self._last.resize(seconds=app.limits.cache_seconds, most=app.limits.cached_events)

    def subscribe(self, connection: Connection, command: Subscribe) -> list[Effect]:
        """Let a connection onto a channel, or say why not."""
        channel = command.channel
        try:
            check_name(channel)
            if channel not in connection.channels:
                self._check_room(connection)
            member = self._verifier.admit(connection, command)
            if member is not None:
                self._check_seat(channel, member)
        except InvalidChannelName as error:
            return [_refused(connection, channel, "InvalidName", str(error), 4009)]
        except SubscriptionRefused as refusal:
            return [_refused(connection, channel, refusal.kind, refusal.message, refusal.status)]
        connection.authorized |= kind_of(channel).guarded
        if channel in connection.channels:
            return [self._acknowledgement(connection, channel)]
        waiting = Waiting(connection, member, command.last_id)
        if self._peers and channel not in self.channels:
            join = Join(channel, watch=self._watches(channel), history=self.history.keeps(channel))
            return [join] if self._waiting.enter(channel, waiting) else []
        return self._join(waiting, channel)

    def joined(self, channel: str, elsewhere: Elsewhere) -> list[Effect]:
        """Let those onto a channel who waited for it; the other nodes have *elsewhere* there."""
        if not (everybody := self._waiting.empty(channel)):
            return []
        subscribers = self.channels[channel] = Subscribers()
        subscribers.learn(Change(elsewhere.count, elsewhere.members))
        if elsewhere.cached is not None:
            self._last.put(channel, elsewhere.cached)
        effects: list[Effect] = []
        for waiting in everybody:
            try:
                if waiting.member is not None:
                    self._check_seat(channel, waiting.member)
            except SubscriptionRefused as refusal:
                effects.append(
                    _refused(waiting.connection, channel, refusal.kind, refusal.message, refusal.status)
                )
            else:
                effects += self._join(waiting, channel)
        if not subscribers:
            del self.channels[channel]
            effects += self._left(channel)
        return effects

    def learned(self, channel: str, change: Change) -> list[Effect]:
        """Note what is new on other nodes; the subscribers here hear of it."""
        if (subscribers := self.channels.get(channel)) is None:
            return []
        # What was on the bus since is newer.
        if change.cached is not None and channel not in self._last:
            self._last.put(channel, change.cached)
        before, audience = subscribers.total, subscribers.audience
        new = subscribers.learn(change)
        effects: list[Effect] = [
            Push(frames.member_added(channel, user_id, info), audience) for user_id, info in new.came.items()
        ]
        effects += [Push(frames.member_removed(channel, user_id), audience) for user_id in new.gone]
        if self._counting and new.count != before:
            effects += self._counts.changed(channel, subscribers, here=False)
        return effects

    def leave(self, connection: Connection, channel: str) -> list[Effect]:
        """Let a connection off a channel; harmless where it is on none of that name."""
        if channel in connection.waiting:
            if not self._waiting.leave(channel, connection):
                return []
            self.positions.drop(channel)
            return [Leave(channel)]
        if channel not in connection.channels:
            return []
        user_id = connection.channels.pop(channel)
        subscribers = self.channels[channel]
        effects: list[Effect] = []
        if subscribers.remove(connection, user_id) and user_id is not None:
            if subscribers:
                effects.append(Push(frames.member_removed(channel, user_id), subscribers.audience))
            effects += self._news("member_removed", channel, user_id)
        if self._peers:
            gone = () if user_id is None or subscribers.is_here(user_id) else (user_id,)
            effects.append(Report(channel, Change(len(subscribers), gone=gone), self._tells(channel)))
        if subscribers:
            return [*effects, *self._counted(channel, subscribers)]
        del self.channels[channel]
        return [*effects, *self._news("channel_vacated", channel), *self._left(channel)]

    def clear(self) -> list[Effect]:
        """Let everybody off every channel; there is nobody left to hear of it but webhooks."""
        effects: list[Effect] = []
        for channel, subscribers in self.channels.items():
            here = [user_id for user_id in subscribers.members if subscribers.is_here(user_id)]
            for user_id in here:
                effects += self._news("member_removed", channel, user_id)
            effects += (
                [Report(channel, Change(0, gone=tuple(here)), self._tells(channel))] if self._peers else []
            )
            effects += [*self._news("channel_vacated", channel), *self._left(channel)]
        for channel in self._waiting.clear():
            self.positions.drop(channel)
            effects.append(Leave(channel))
        self.channels.clear()
        return effects

    def interrupt(self) -> None:
        """Note that events of other nodes may have been missed: the last ones may be others."""
        self._last.clear()

    def keep(self, channel: str, frame: str, *, relayed: bool) -> list[Effect]:
        """Remember the last event of a cache channel; so do the other nodes, if one of them *relayed* it."""
        self._last.put(channel, frame)
        return [] if relayed or not self._peers else [Keep(channel, frame, self._limits.cache_seconds)]

    def tick(self, now: float) -> list[Effect]:
        """Forget what is old, and tell the counts that were put off."""
        self._last.tick(now)
        self.history.tick(now)
        return self._counts.tick(now, self.channels)

    def _left(self, channel: str) -> list[Effect]:
        """Leave a channel to the other nodes; what they say there from now on is not heard here."""
        if not self._peers:
            return []
        self._last.drop(channel)
        self.positions.drop(channel)
        return [Leave(channel)]

    def _join(self, waiting: Waiting, channel: str) -> list[Effect]:
        """Subscribe; on a presence channel the others hear of a user's first connection."""
        connection, member = waiting.connection, waiting.member
        news: list[Effect] = []
        if (subscribers := self.channels.get(channel)) is None:
            subscribers = self.channels[channel] = Subscribers()
            news += self._news("channel_occupied", channel)
        came: dict[str, Any] = {}
        if member is None:
            connection.channels[channel] = None
            subscribers.add(connection)
        else:
            # Only here: asked for on every channel, it would be made anew for each connection that comes.
            others = subscribers.audience
            connection.channels[channel] = member.id
            came = {} if subscribers.is_here(member.id) else {member.id: member.info}
            if subscribers.add(connection, member.id, member.info):
                if others:
                    news.append(Push(frames.member_added(channel, member.id, member.info), others))
                news += self._news("member_added", channel, member.id)
        if self._peers:
            news.append(Report(channel, Change(len(subscribers), came), self._tells(channel)))
        return [
            self._acknowledgement(connection, channel),
            *news,
            *self._missed(connection, channel, waiting.last_id),
            *self._counted(channel, subscribers),
        ]

    def gap(self, connection: Connection, channel: str) -> list[Effect]:
        """Tell a connection that it may have missed something."""
        self._tally.gaps += 1
        gap = Push(frames.gap(channel, self._latest(channel)), (connection,))
        return [gap, *self._last_event(connection, channel)]

    def _latest(self, channel: str) -> str:
        return self.positions.at(channel) if self._peers else self.history.latest()

    def _acknowledgement(self, connection: Connection, channel: str) -> Effect:
        latest = self._latest(channel) if self.history.keeps(channel) else None
        if connection.channels[channel] is None:
            return Push(frames.subscribed(channel, latest), (connection,))
        members = self.channels[channel].members
        return Push(frames.subscribed_to_presence(channel, members, latest), (connection,))

    def _missed(self, connection: Connection, channel: str, last_id: str | None) -> list[Effect]:
        """Push what the client has missed since *last_id*, or else the last event of a cache channel."""
        if last_id is None or not self.history.keeps(channel):
            return self._last_event(connection, channel)
        if self._peers:
            return self._recall(connection, channel, last_id)
        missed = self.history.since(channel, last_id)
        if missed is None:
            return self.gap(connection, channel)
        self._tally.replayed += len(missed)
        return [Push(frame, (connection,)) for frame in missed]

    def _recall(self, connection: Connection, channel: str, last_id: str) -> list[Effect]:
        """Let a connection hear nothing new until it has what it missed, which only others know."""
        if last_id == self.positions.at(channel) != NOWHERE:
            return []
        if not is_id(last_id):
            return self.gap(connection, channel)
        self.channels[channel].hold(connection, last_id)
        return [Recall(channel, connection, last_id)]

    def _last_event(self, connection: Connection, channel: str) -> list[Effect]:
        if not is_cached(channel):
            return []
        if (frame := self._last.get(channel)) is not None:
            return [Push(frame, (connection,))]
        return [Push(frames.cache_miss(channel), (connection,)), Notify("cache_miss", channel)]

    def _news(self, name: str, channel: str, user_id: str | None = None) -> list[Effect]:
        """Tell the application; with peers it is theirs to say whether that is new on all nodes."""
        fields = {} if user_id is None else {"user_id": user_id}
        return [] if self._peers else [Notify(name, channel, fields)]

    def _watches(self, channel: str) -> bool:
        """Whether it matters who is on a channel elsewhere, or what its last event was."""
        return is_cached(channel) or self._tells(channel)

    def _tells(self, channel: str) -> bool:
        """Whether it matters to others who is on a channel here."""
        return self._counting or kind_of(channel) is Kind.PRESENCE

    def _counted(self, channel: str, subscribers: Subscribers) -> list[Effect]:
        return self._counts.changed(channel, subscribers) if self._counting else []

    def _check_room(self, connection: Connection) -> None:
        most = self._limits.channels_per_connection
        if len(connection.channels) + len(connection.waiting) >= most:
            raise SubscriptionRefused("LimitReached", f"The connection is on {most} channels already", 4009)

    def _check_seat(self, channel: str, member: User) -> None:
        subscribers = self.channels.get(channel)
        taken = 0 if subscribers is None else subscribers.user_count
        most = self._limits.presence_members
        if taken >= most and not (subscribers and subscribers.is_member(member.id)):
            raise SubscriptionRefused("LimitReached", f"The channel has {most} members already", 4100)


def _refused(connection: Connection, channel: str, kind: str, message: str, status: int) -> Push:
    return Push(frames.subscription_error(channel, kind, message, status), (connection,))
