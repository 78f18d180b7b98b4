"""Everything that can happen, in any order, beside a model that is too simple to be wrong.

Each client also replays its own frames, as a client library does, and must end up with what the model says:
no ghost, no duplicate, and nothing that it should not have heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broadcaster.protocol.limits import Limits
from tests.thorough import examples

from .conversation import CREDENTIALS, Client, Conversation, Frame, data_of

LIMITS = Limits(
    activity_timeout=20,
    pong_timeout=10,
    channels_per_connection=3,
    presence_members=2,
    client_events_per_second=1000,
)
USERS = ["ann", "bob", "cat"]
PRESENCE = ["presence-a", "presence-b"]
OTHERS = ["public", "private-a", "private-encrypted-a"]
PEERS = st.integers(0, 11)


@dataclass(eq=False)
class Peer:
    """One connection: what the model says of it, and what its client has made of its frames."""

    client: Client
    seen: float
    asked: float | None = None
    user: str | None = None
    channels: dict[str, str | None] = field(default_factory=dict)
    expected: list[tuple[str, str, str | None]] = field(default_factory=list)
    heard: list[tuple[str, str, str | None]] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)

    def replay(self, frames: list[Frame]) -> list[str]:
        """Do with each frame what a client library does; return the names of their events."""
        for frame in frames:
            match frame["event"]:
                case "pusher_internal:subscription_succeeded":
                    self._acknowledged(frame)
                case "pusher_internal:member_added":
                    members, user_id = self.members[frame["channel"]], data_of(frame)["user_id"]
                    assert user_id not in members, "a member joined twice"
                    members.add(user_id)
                case "pusher_internal:member_removed":
                    members, user_id = self.members[frame["channel"]], data_of(frame)["user_id"]
                    assert user_id in members, "somebody left who was not there"
                    members.remove(user_id)
                case "news" | "client-news":
                    assert frame["channel"] in self.channels, "an event of a channel that one is not on"
                    self.heard.append((frame["channel"], frame["data"], frame.get("user_id")))
                case other:
                    assert other in {
                        "pusher:error",
                        "pusher:pong",
                        "pusher:signin_success",
                        "pusher:subscription_error",
                    }
        return [frame["event"] for frame in frames]

    def _acknowledged(self, frame: Frame) -> None:
        if frame["channel"].startswith("presence-"):
            presence = data_of(frame)["presence"]
            assert presence["count"] == len(presence["ids"]) == len(set(presence["ids"]))
            assert set(presence["ids"]) == set(presence["hash"])
            self.members[frame["channel"]] = set(presence["ids"])


class HubMachine(RuleBasedStateMachine):
    """Connections come, subscribe, speak, fall silent and go."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation = Conversation(LIMITS)
        self.living: list[Peer] = []
        self.gone: list[Peer] = []
        self.said = 0

    # What the model knows

    def peer(self, which: int) -> Peer:
        """Choose one of the living; hearing from it is a sign of life."""
        peer = self.living[which % len(self.living)]
        peer.seen, peer.asked = self.conversation.now, None
        return peer

    def on(self, channel: str) -> list[Peer]:
        return [peer for peer in self.living if channel in peer.channels]

    def users_on(self, channel: str) -> set[str]:
        return {user for peer in self.on(channel) if (user := peer.channels[channel]) is not None}

    def has_room(self, peer: Peer, channel: str) -> bool:
        return channel in peer.channels or len(peer.channels) < LIMITS.channels_per_connection

    def has_ended(self, peer: Peer, code: int | None) -> None:
        peer.replay(peer.client.take())
        assert peer.client.closed_with == code
        self.living.remove(peer)
        self.gone.append(peer)

    def next_data(self) -> str:
        self.said += 1
        return str(self.said)

    # What may happen

    @initialize(users=st.permutations(["ann", "ann", "bob"]))
    def start(self, users: list[str]) -> None:
        for which, user in enumerate([*users, "cat"]):
            self.connect()
            self.join(which, "presence-a", user)
            self.subscribe(which, "private-a")

    @precondition(lambda self: len(self.living) < 6)
    @rule()
    def connect(self) -> None:
        peer = Peer(self.conversation.connects(), seen=self.conversation.now)
        self.living.append(peer)

        assert [frame["event"] for frame in peer.client.take()] == ["pusher:connection_established"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS, channel=st.sampled_from(PRESENCE), user=st.sampled_from(USERS))
    def join(self, which: int, channel: str, user: str) -> None:
        peer = self.peer(which)
        members = self.users_on(channel)
        has_seat = user in members or len(members) < LIMITS.presence_members

        events = peer.replay(peer.client.joins(channel, user))

        if self.has_room(peer, channel) and has_seat:
            assert events == ["pusher_internal:subscription_succeeded"]
            peer.channels.setdefault(channel, user)
        else:
            assert events == ["pusher:subscription_error"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS, channel=st.sampled_from(OTHERS))
    def subscribe(self, which: int, channel: str) -> None:
        peer = self.peer(which)

        events = peer.replay(peer.client.subscribes(channel))

        if self.has_room(peer, channel):
            assert events == ["pusher_internal:subscription_succeeded"]
            peer.channels[channel] = None
        else:
            assert events == ["pusher:subscription_error"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS, channel=st.sampled_from([*PRESENCE, *OTHERS[1:], "#server-to-user-nobody"]))
    def subscribe_with_a_wrong_signature(self, which: int, channel: str) -> None:
        client = self.peer(which).client

        answers = client.subscribes(
            channel, channel_data='{"user_id":"eve"}', auth=f"{CREDENTIALS.key}:{'0' * 64}"
        )

        assert [frame["event"] for frame in answers] == ["pusher:subscription_error"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS, channel=st.sampled_from([*PRESENCE, *OTHERS]))
    def unsubscribe(self, which: int, channel: str) -> None:
        peer = self.peer(which)
        peer.channels.pop(channel, None)
        peer.members.pop(channel, None)

        assert peer.client.unsubscribes(channel) == []

    @precondition(lambda self: self.living)
    @rule(which=PEERS, user=st.sampled_from(USERS))
    def sign_in(self, which: int, user: str) -> None:
        peer = self.peer(which)

        events = peer.replay(peer.client.signs_in(user))

        if peer.user in {None, user}:
            assert events == ["pusher:signin_success"]
            peer.user = user
        else:
            assert events == ["pusher:error"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS, user=st.sampled_from(USERS))
    def sign_in_with_a_wrong_signature(self, which: int, user: str) -> None:
        peer = self.peer(which)

        assert peer.replay(peer.client.signs_in(user, auth="wrong")) == ["pusher:error"]

        self.has_ended(peer, 4009)

    @precondition(lambda self: self.living)
    @rule(which=PEERS, user=st.sampled_from(USERS))
    def join_the_channel_of_a_user(self, which: int, user: str) -> None:
        peer, channel = self.peer(which), f"#server-to-user-{user}"

        events = peer.replay(peer.client.subscribes(channel, auth=""))

        if peer.user == user and self.has_room(peer, channel):
            assert events == ["pusher_internal:subscription_succeeded"]
            peer.channels[channel] = None
        else:
            assert events == ["pusher:subscription_error"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS, channel=st.sampled_from([*PRESENCE, *OTHERS]))
    def whisper(self, which: int, channel: str) -> None:
        peer, data = self.peer(which), self.next_data()

        events = peer.replay(peer.client.says("client-news", data, channel=channel))

        if channel in peer.channels and channel in {*PRESENCE, "private-a"}:
            assert events == []
            for other in self.on(channel):
                if other is not peer:
                    other.expected.append((channel, data, peer.channels[channel]))
        else:
            assert events == ["pusher:error"]

    @rule(
        channels=st.lists(
            st.sampled_from([*PRESENCE, *OTHERS, "#server-to-user-ann"]), max_size=3, unique=True
        ),
        sender=st.none() | PEERS,
    )
    def broadcast(self, channels: list[str], sender: int | None) -> None:
        everybody, data = [*self.living, *self.gone], self.next_data()
        left_out = everybody[sender % len(everybody)] if sender is not None else None

        self.conversation.perform(
            self.conversation.hub.broadcast(
                "news", channels, data, except_socket=left_out.client.socket_id if left_out else None
            )
        )

        for channel in channels:
            for peer in self.on(channel):
                if peer is not left_out:
                    peer.expected.append((channel, data, None))

    @precondition(lambda self: self.living)
    @rule(which=PEERS)
    def disconnect(self, which: int) -> None:
        peer = self.peer(which)

        peer.client.disconnects()

        self.has_ended(peer, None)

    @precondition(lambda self: self.gone)
    @rule(which=PEERS)
    def haunt(self, which: int) -> None:
        client = self.gone[which % len(self.gone)].client

        answers = [
            *client.joins("presence-a", "ghost"),
            *client.signs_in("ghost"),
            *client.unsubscribes("public"),
        ]
        client.disconnects()

        assert answers == []

    @rule(user=st.sampled_from(USERS))
    def terminate(self, user: str) -> None:
        self.conversation.perform(self.conversation.hub.terminate(user))

        for peer in [peer for peer in self.living if peer.user == user]:
            self.has_ended(peer, 4009)

    @precondition(lambda self: self.living)
    @rule(which=PEERS)
    def ping(self, which: int) -> None:
        peer = self.peer(which)

        assert peer.replay(peer.client.says("pusher:ping", {})) == ["pusher:pong"]

    @precondition(lambda self: self.living)
    @rule(which=PEERS)
    def answer_a_control_frame(self, which: int) -> None:
        self.peer(which).client.sends_control_frame()

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 9.5, 10.0, 20.0]))
    def tick(self, seconds: float) -> None:
        self.conversation.passes(seconds)

        now = self.conversation.now
        for peer in list(self.living):
            if peer.asked is not None and now - peer.asked >= LIMITS.pong_timeout:
                self.has_ended(peer, 4201)
            elif peer.asked is None and now - peer.seen >= LIMITS.activity_timeout:
                peer.asked = now

    # What must always hold

    @invariant()
    def clients_hear_what_the_model_says_in_its_order(self) -> None:
        for peer in self.living:
            peer.replay(peer.client.take())
            assert peer.heard == peer.expected

    @invariant()
    def clients_see_who_is_present(self) -> None:
        for peer in self.living:
            for channel, user in peer.channels.items():
                if user is not None:
                    assert peer.members[channel] == self.users_on(channel)

    @invariant()
    def the_hub_knows_the_living_and_nobody_else(self) -> None:
        hub = self.conversation.hub
        assert list(hub.connections.values()) == [peer.client.connection for peer in self.living]

        signed_in: dict[str, list[Any]] = {}
        for peer in self.living:
            if peer.user is not None:
                signed_in.setdefault(peer.user, []).append(peer.client.connection)
        assert len(hub._users) == len(signed_in)
        for user, them in signed_in.items():
            assert set(hub._users.connections_of(user)) == set(them)

    @invariant()
    def the_hub_has_no_channel_without_subscribers(self) -> None:
        hub = self.conversation.hub
        expected = {
            channel: {peer.client.connection for peer in self.on(channel)}
            for peer in self.living
            for channel in peer.channels
        }

        assert {
            channel: set(subscribers.audience) for channel, subscribers in hub.channels.items()
        } == expected
        for channel, subscribers in hub.channels.items():
            assert len(subscribers) == len(expected[channel])
            assert hub.user_count(channel) == len(self.users_on(channel))
            assert set(hub.users_of(channel)) == self.users_on(channel)

    def teardown(self) -> None:
        for peer in list(self.living):
            peer.client.disconnects()

        assert (self.conversation.hub.connections, self.conversation.hub.channels) == ({}, {})


HubMachine.TestCase.settings = settings(max_examples=examples(50), stateful_step_count=50, deadline=None)
TestHub = HubMachine.TestCase
