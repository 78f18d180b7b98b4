"""The state machine of one application on one node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from broadcaster.errors import ProtocolViolation
from broadcaster.protocol import frames
from broadcaster.protocol.api_auth import WINDOW
from broadcaster.protocol.app import App
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
from broadcaster.protocol.door import Door
from broadcaster.protocol.effects import Effect, HangUp, Notify, Probe, Push, Relay, Terminate
from broadcaster.protocol.elsewhere import Change, Elsewhere, user_at
from broadcaster.protocol.handshake import Refusal, Visit
from broadcaster.protocol.membership import Membership
from broadcaster.protocol.pushes import Pushes
from broadcaster.protocol.rates import Bucket
from broadcaster.protocol.recent import Recent
from broadcaster.protocol.records import Records
from broadcaster.protocol.subscribers import Subscribers
from broadcaster.protocol.tally import Tally
from broadcaster.protocol.users import Users
from broadcaster.protocol.verification import Verifier
from broadcaster.protocol.whispers import objection

__all__ = ["Hub"]

_SIGNATURES = 100_000


class Hub:
    """Connections, channels and users of one application; every method returns effects in order.

    Nothing a client sends raises out of it. Times are seconds of one monotonic clock. *epoch* is another one
    for each start of a server: lower-case letters and digits. *peers* says that other nodes have connections
    of this application too: then there are the effects from `Join` to `Terminate`, it is for them to say when
    a channel is occupied or a user a member, and *records* takes what comes out of the history they share.
    """

    def __init__(self, app: App, *, epoch: str = "0", peers: bool = False) -> None:
        self.connections: dict[str, Connection] = {}
        self._peers = peers
        self.tally = Tally()
        self._membership = Membership(app, epoch=epoch, peers=peers, tally=self.tally)
        self._pushes = Pushes(app, self._membership, self.connections, peers=peers)
        self.records = Records(self._membership, self._pushes, self.tally)
        self._users = Users(peers=peers)
        self._door = Door(app)
        self._requests = Bucket()
        # As long as a signature may be early, and then late.
        self._signatures: Recent[str, None] = Recent(seconds=2 * WINDOW, most=_SIGNATURES)
        self.update(app)

    def update(self, app: App) -> None:
        """Go on by the rules of *app*; connections stay, and so does what they have joined."""
        self.app = app
        self.keyring = app.keyring
        self._verifier = Verifier(app, self.tally)
        self._membership.update(app)
        self._door.update(app)
        self._pushes.update(app)

    @property
    def has_peers(self) -> bool:
        """Whether other nodes have connections of this application too."""
        return self._peers

    @property
    def channels(self) -> dict[str, Subscribers]:
        """The channels that are occupied here: each name, with who is subscribed."""
        return self._membership.channels

    def refusal(self, visit: Visit) -> Refusal | None:
        """Return why a client may not connect, or None."""
        return self._door.refusal(visit)

    def takes_request(self, now: float) -> bool:
        """Count one request to the HTTP API; False when there are too many."""
        per_second = self.app.limits.api_requests_per_second
        return self._requests.take(now, per_second=per_second, burst=2 * per_second)

    def is_replay(self, signature: str) -> bool:
        """Whether a request with that *signature* was taken before, where the application refuses those."""
        if not self.app.refuse_replays:
            return False
        if signature in self._signatures:
            return True
        self._signatures.put(signature, None)
        return False

    def connected(self, connection: Connection, now: float) -> list[Effect]:
        """Let a connection in; its socket id must not be in use."""
        self._door.entered(connection.address)
        connection.opened = now
        connection.touch(now)
        self.connections[connection.socket_id] = connection
        established = frames.connection_established(connection.socket_id, self.app.limits.activity_timeout)
        return [Push(established, (connection,))]

    def received(self, connection: Connection, text: str, now: float) -> list[Effect]:
        """Act on one text frame."""
        if not self._knows(connection):
            return []
        connection.touch(now)
        limits = self.app.limits
        if not connection.frames.take(now, per_second=limits.frames_per_second, burst=limits.frame_burst):
            self.tally.limited["frame"] += 1
            return self._hang_up(connection, Code.BACK_OFF, "Too many frames")
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
        self._door.left(connection.address)
        effects = self._users.sign_out(connection)
        for channel in [*connection.channels, *connection.waiting]:
            effects += self._membership.leave(connection, channel)
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
        return self._pushes.taken(Relay(name, tuple(channels), data, except_socket, message_id))

    def joined(self, channel: str, elsewhere: Elsewhere) -> list[Effect]:
        """Go on where a `Join` wanted other nodes to be heard, or where nobody can say when they will be.

        *elsewhere* is what they have there; nothing where that is not known.
        """
        if (user_id := user_at(channel)) is not None:
            return self._users.known(user_id, elsewhere=elsewhere.count > 0)
        return self._membership.joined(channel, elsewhere)

    def learned(self, channel: str, change: Change) -> list[Effect]:
        """Note what is new on other nodes, where a `Join` wanted to watch."""
        if (user_id := user_at(channel)) is not None:
            return self._users.learned(user_id, change)
        return self._membership.learned(channel, change)

    def published(self, relay: Relay) -> list[Effect]:
        """Push what all nodes hear, which none of them took first."""
        return self._pushes.heard(relay, relayed=False)

    def relayed(self, relay: Relay) -> list[Effect]:
        """Push what another node relays."""
        if relay.whisper:
            return self._pushes.whisper(relay)
        return self._pushes.heard(relay, relayed=True)

    def interrupted(self) -> None:
        """Note that what other nodes relayed may have been missed."""
        self._membership.interrupt()

    def tick(self, now: float) -> list[Effect]:
        """Probe connections that have been silent too long, and hang up on those that stay so."""
        self._pushes.tick(now)
        self.records.tick(now)
        self._signatures.tick(now)
        effects = self._membership.tick(now)
        for connection in list(self.connections.values()):
            if self._is_nobody(connection, now):
                effects += self._hang_up(connection, Code.UNAUTHORIZED, "Nobody signed in in time")
            elif connection.probed is None:
                if now - connection.seen >= self.app.limits.activity_timeout:
                    connection.probed = now
                    effects.append(Probe(connection))
            # Counted from the question: a tick that comes late must not cost the peer its time to answer.
            elif now - connection.probed >= self.app.limits.pong_timeout:
                effects += self._hang_up(connection, Code.NO_PONG, "Pong reply not received in time")
        return effects

    def terminate(self, user_id: str) -> list[Effect]:
        """Hang up on every connection that signed in as *user_id*."""
        effects = self.terminated(user_id)
        return [*effects, Terminate(user_id)] if self._peers else effects

    def terminated(self, user_id: str) -> list[Effect]:
        """Hang up on the connections of a user here, as another node wants it."""
        reason = "Connection terminated by the application"
        return [
            effect
            for connection in self._users.connections_of(user_id)
            for effect in self._hang_up(connection, Code.UNAUTHORIZED, reason)
        ]

    def user_count(self, channel: str) -> int:
        """Return how many users are present on a presence channel, as far as it is known here."""
        subscribers = self.channels.get(channel)
        return 0 if subscribers is None else subscribers.user_count

    def users_of(self, channel: str) -> dict[str, Any]:
        """Return the members of a presence channel: id to info."""
        subscribers = self.channels.get(channel)
        return subscribers.members if subscribers is not None else {}

    def dismiss(self, connection: Connection, code: int, reason: str) -> list[Effect]:
        """Hang up on one connection that has done nothing wrong; harmless when repeated."""
        if not self._knows(connection):
            return []
        # Forgotten at once: nothing may be written to a connection after its close frame.
        return [HangUp(connection, int(code), reason), *self.disconnected(connection)]

    def close(self, code: int, reason: str) -> list[Effect]:
        """Hang up on everybody, as at the end of the server; webhooks hear that all channels are empty."""
        effects: list[Effect] = [HangUp(connection, code, reason) for connection in self.connections.values()]
        self.connections.clear()
        effects += self._membership.clear()
        effects += self._users.clear()
        self._door.clear()
        return effects

    def _knows(self, connection: Connection) -> bool:
        return self.connections.get(connection.socket_id) is connection

    def _obey(self, connection: Connection, command: Command, now: float) -> list[Effect]:
        # What comes most often first.
        match command:
            case ClientEvent():
                return self._relay(connection, command, now)
            case Ping():
                return [Push(frames.pong, (connection,))]
            case Pong():
                return []
            case Subscribe():
                return self._membership.subscribe(connection, command)
            case Unsubscribe(channel):
                return self._membership.leave(connection, channel)
            case SignIn():
                return self._sign_in(connection, command)

    def _relay(self, connection: Connection, event: ClientEvent, now: float) -> list[Effect]:
        """Hand a client event to the others on its channel, in the name of the verified sender."""
        if (refusal := objection(self.app, connection, event, now, self.tally)) is not None:
            return [Push(frames.error(Code.CLIENT_EVENT_REJECTED, refusal, event.channel), (connection,))]
        self.tally.events["client"] += 1
        user_id = connection.channels[event.channel]
        frame = frames.client_event(event.name, event.channel, event.data, user_id)
        fields = {"event": event.name, "data": event.data, "socket_id": connection.socket_id}
        effects: list[Effect] = [
            Push(frame, self.channels[event.channel].audience, connection),
            Notify(
                "client_event", event.channel, fields if user_id is None else {**fields, "user_id": user_id}
            ),
        ]
        if self._peers:
            effects.append(Relay(event.name, (event.channel,), event.data, whisper=True, user_id=user_id))
        return effects

    def _sign_in(self, connection: Connection, command: SignIn) -> list[Effect]:
        user = self._verifier.user(connection, command)
        if user is None:
            return self._hang_up(connection, Code.UNAUTHORIZED, "Sign-in refused: invalid signature")
        if connection.user is not None and connection.user.id != user.id:
            raise ProtocolViolation(Code.UNAUTHORIZED, "The connection is signed in as another user")
        connection.authorized = True
        signed_in = Push(frames.signed_in(command.user_data), (connection,))
        most = self.app.limits.watchlist
        if len(user.watchlist) <= most:
            return [signed_in, *self._users.sign_in(connection, user)]
        error = frames.error(
            Code.WATCHLIST_TOO_LONG, f"Only the first {most} users of the watchlist are watched"
        )
        shortened = User(user.id, user.info, user.watchlist[:most])
        return [signed_in, *self._users.sign_in(connection, shortened), Push(error, (connection,))]

    def _hang_up(self, connection: Connection, code: Code, reason: str) -> list[Effect]:
        return [
            Push(frames.error(code, reason), (connection,)),
            *self.dismiss(connection, code, reason),
        ]

    def _is_nobody(self, connection: Connection, now: float) -> bool:
        """Whether a connection has had its time to say who it is."""
        timeout = self.app.limits.sign_in_timeout
        return 0 < timeout <= now - connection.opened and not connection.authorized
