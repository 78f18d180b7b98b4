"""The state machine of one application on one node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from broadcaster.channels import Kind, check_name, kind_of
from broadcaster.errors import InvalidChannelName, ProtocolViolation
from broadcaster.protocol import frames
from broadcaster.protocol.codes import Code
from broadcaster.protocol.commands import (
    ClientEvent,
    Command,
    Ping,
    Pong,
    SignIn,
    Subscribe,
    Unsubscribe,
    parse,
)
from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.effects import Effect, HangUp, Probe, Push
from broadcaster.protocol.limits import Limits
from broadcaster.protocol.repeats import Repeats
from broadcaster.protocol.subscribers import Subscribers
from broadcaster.protocol.verification import SubscriptionRefused, Verifier
from broadcaster.signing import Credentials

__all__ = ["Hub"]


class Hub:
    """Connections, channels and users of one application; every method returns effects in order.

    Nothing a client sends raises out of it. Times are seconds of one monotonic clock.
    """

    def __init__(
        self, credentials: Credentials, limits: Limits | None = None, *, client_events: bool = True
    ) -> None:
        self.limits = limits or Limits()
        self.connections: dict[str, Connection] = {}
        self.channels: dict[str, Subscribers] = {}
        self._users: dict[str, dict[Connection, None]] = {}
        self._repeats = Repeats(window=self.limits.repeat_window, most=self.limits.repeats_remembered)
        self._verifier = Verifier(credentials, self.limits)
        self._client_events = client_events

    def connected(self, connection: Connection, now: float) -> list[Effect]:
        """Let a connection in; its socket id must not be in use."""
        connection.touch(now)
        self.connections[connection.socket_id] = connection
        established = frames.connection_established(connection.socket_id, self.limits.activity_timeout)
        return [Push(established, (connection,))]

    def received(self, connection: Connection, text: str, now: float) -> list[Effect]:
        """Act on one text frame."""
        if not self._knows(connection):
            return []
        connection.touch(now)
        try:
            return self._obey(connection, parse(text), now)
        except ProtocolViolation as violation:
            error = frames.error(violation.code, violation.message, violation.channel)
            return [Push(error, (connection,))]

    def disconnected(self, connection: Connection) -> list[Effect]:
        """Forget a connection, and tell the presence channels that it was on; harmless when repeated."""
        if not self._knows(connection):
            return []
        del self.connections[connection.socket_id]
        self._sign_out(connection)
        effects: list[Effect] = []
        for channel in list(connection.channels):
            effects += self._leave(connection, channel)
        return effects

    def broadcast(
        self,
        name: str,
        channels: Iterable[str],
        data: str,
        *,
        except_socket: str | None = None,
        message_id: str | None = None,
    ) -> list[Effect]:
        """Push an event to everyone on *channels*, once for each channel, *except_socket* left out.

        A *message_id* that was on a channel a short time ago is not pushed there again.
        """
        left_out = self.connections.get(except_socket) if except_socket is not None else None
        return [
            Push(frames.event(name, channel, data), subscribers.audience, left_out)
            for channel in channels
            if (subscribers := self.channels.get(channel)) is not None
            and (message_id is None or self._repeats.is_new(message_id, channel))
        ]

    def tick(self, now: float) -> list[Effect]:
        """Probe connections that have been silent too long, and hang up on those that stay so."""
        self._repeats.tick(now)
        effects: list[Effect] = []
        for connection in list(self.connections.values()):
            if connection.probed is None:
                if now - connection.seen >= self.limits.activity_timeout:
                    connection.probed = now
                    effects.append(Probe(connection))
            # Counted from the question: a tick that comes late must not cost the peer its time to answer.
            elif now - connection.probed >= self.limits.pong_timeout:
                effects += self._hang_up(connection, Code.NO_PONG, "Pong reply not received in time")
        return effects

    def terminate(self, user_id: str) -> list[Effect]:
        """Hang up on every connection that signed in as *user_id*."""
        reason = "Connection terminated by the application"
        return [
            effect
            for connection in list(self._users.get(user_id, ()))
            for effect in self._hang_up(connection, Code.UNAUTHORIZED, reason)
        ]

    def user_count(self, channel: str) -> int:
        """Return how many users are present on a presence channel."""
        subscribers = self.channels.get(channel)
        return subscribers.user_count if subscribers is not None else 0

    def users_of(self, channel: str) -> dict[str, Any]:
        """Return the members of a presence channel: id to info."""
        subscribers = self.channels.get(channel)
        return subscribers.members if subscribers is not None else {}

    def close(self, code: int, reason: str) -> list[Effect]:
        """Hang up on everybody, as at the end of the server."""
        effects: list[Effect] = [HangUp(connection, code, reason) for connection in self.connections.values()]
        self.connections.clear()
        self.channels.clear()
        self._users.clear()
        return effects

    def _knows(self, connection: Connection) -> bool:
        return self.connections.get(connection.socket_id) is connection

    def _obey(self, connection: Connection, command: Command, now: float) -> list[Effect]:
        match command:
            case Ping():
                return [Push(frames.pong, (connection,))]
            case Pong():
                return []
            case Subscribe():
                return self._subscribe(connection, command)
            case Unsubscribe(channel):
                return self._leave(connection, channel)
            case SignIn():
                return self._sign_in(connection, command)
            case ClientEvent():
                return self._relay(connection, command, now)

    def _subscribe(self, connection: Connection, command: Subscribe) -> list[Effect]:
        channel = command.channel
        try:
            check_name(channel)
            if channel not in connection.channels:
                self._check_room(connection)
            member = self._verifier.admit(connection, command)
            if member is not None:
                self._check_seat(channel, member)
                return self._join_presence(connection, channel, member)
        except InvalidChannelName as error:
            return [_refused(connection, channel, "InvalidName", str(error), 4009)]
        except SubscriptionRefused as refusal:
            return [_refused(connection, channel, refusal.kind, refusal.message, refusal.status)]
        if channel not in connection.channels:
            connection.channels[channel] = None
            self._subscribers(channel).add(connection)
        return [Push(frames.subscribed(channel), (connection,))]

    def _join_presence(self, connection: Connection, channel: str, member: User) -> list[Effect]:
        """Subscribe to a presence channel; the others hear of it when this is the user's first connection."""
        effects: list[Effect] = []
        subscribers = self._subscribers(channel)
        if channel not in connection.channels:
            others = subscribers.audience
            connection.channels[channel] = member.id
            if subscribers.add(connection, member.id, member.info) and others:
                effects.append(Push(frames.member_added(channel, member.id, member.info), others))
        acknowledgement = frames.subscribed_to_presence(channel, subscribers.members)
        return [Push(acknowledgement, (connection,)), *effects]

    def _leave(self, connection: Connection, channel: str) -> list[Effect]:
        if channel not in connection.channels:
            return []
        user_id = connection.channels.pop(channel)
        subscribers = self.channels[channel]
        last = subscribers.remove(connection, user_id)
        if not subscribers:
            del self.channels[channel]
            return []
        if last and user_id is not None:
            return [Push(frames.member_removed(channel, user_id), subscribers.audience)]
        return []

    def _relay(self, connection: Connection, event: ClientEvent, now: float) -> list[Effect]:
        """Hand a client event to the others on its channel, in the name of the verified sender."""
        if (refusal := self._objection(connection, event, now)) is not None:
            return [Push(frames.error(Code.CLIENT_EVENT_REJECTED, refusal, event.channel), (connection,))]
        frame = frames.client_event(event.name, event.channel, event.data, connection.channels[event.channel])
        return [Push(frame, self.channels[event.channel].audience, connection)]

    def _objection(self, connection: Connection, event: ClientEvent, now: float) -> str | None:
        limits = self.limits
        if not self._client_events:
            return "The application does not accept client events"
        if kind_of(event.channel) not in {Kind.PRIVATE, Kind.PRESENCE}:
            return "Client event rejected - only supported on private and presence channels"
        if event.channel not in connection.channels:
            return "The client is not subscribed to the channel"
        if len(event.name) > limits.event_name:
            return f"The event name is longer than {limits.event_name} characters"
        if len(event.data.encode()) > limits.data_size:
            return f"The data is larger than {limits.data_size} bytes"
        if not connection.take_turn(now, per_second=limits.client_events_per_second):
            return f"More than {limits.client_events_per_second} client events in a second"
        return None

    def _sign_in(self, connection: Connection, command: SignIn) -> list[Effect]:
        user = self._verifier.user(connection, command)
        if user is None:
            return self._hang_up(connection, Code.UNAUTHORIZED, "Sign-in refused: invalid signature")
        if connection.user is not None and connection.user.id != user.id:
            raise ProtocolViolation(Code.UNAUTHORIZED, "The connection is signed in as another user")
        connection.user = user
        self._users.setdefault(user.id, {})[connection] = None
        return [Push(frames.signed_in(command.user_data), (connection,))]

    def _sign_out(self, connection: Connection) -> None:
        if connection.user is not None:
            signed_in = self._users[connection.user.id]
            del signed_in[connection]
            if not signed_in:
                del self._users[connection.user.id]

    def _hang_up(self, connection: Connection, code: Code, reason: str) -> list[Effect]:
        # Forgotten at once: nothing may be written to a connection after its close frame.
        return [
            Push(frames.error(code, reason), (connection,)),
            HangUp(connection, int(code), reason),
            *self.disconnected(connection),
        ]

    def _check_room(self, connection: Connection) -> None:
        most = self.limits.channels_per_connection
        if len(connection.channels) >= most:
            raise SubscriptionRefused("LimitReached", f"The connection is on {most} channels already", 4009)

    def _check_seat(self, channel: str, member: User) -> None:
        subscribers = self.channels.get(channel)
        taken = subscribers.user_count if subscribers is not None else 0
        most = self.limits.presence_members
        if taken >= most and not (subscribers and subscribers.is_member(member.id)):
            raise SubscriptionRefused("LimitReached", f"The channel has {most} members already", 4100)

    def _subscribers(self, channel: str) -> Subscribers:
        return self.channels.setdefault(channel, Subscribers())


def _refused(connection: Connection, channel: str, kind: str, message: str, status: int) -> Push:
    return Push(frames.subscription_error(channel, kind, message, status), (connection,))
