"""Leave to join, as an application asks for it, and as its signals tell."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster import BroadcastManager, Forbidden, InvalidChannelName, InvalidSocketId, Member
from broadcaster.auth_requests import AuthRequest
from broadcaster.signals import authorized, denied

PUSHER = {"app_id": "1", "key": "app-key", "secret": "app-secret"}


@pytest.fixture
def broadcast() -> BroadcastManager:
    broadcast = BroadcastManager.from_dict({"driver": "pusher", "drivers": {"pusher": PUSHER}})

    @broadcast.channel("rooms.{room}")
    def rule(user: str, room: int) -> Member | None:
        return Member(user) if room == 7 else None

    return broadcast


def test_the_signals_tell_who_joined_what(broadcast: BroadcastManager) -> None:
    told: list[tuple[object, object]] = []

    def note(sender: object, *, user: object, channel: object) -> None:
        told.append((user, channel))

    with authorized.connected_to(note, sender=broadcast):
        broadcast.authorize("ann", "presence-rooms.7", socket_id="1.2")

    assert told == [("ann", "presence-rooms.7")]


def test_the_signals_tell_who_was_refused_and_why(broadcast: BroadcastManager) -> None:
    told: list[Any] = []

    def note(sender: object, *, user: object, channel: object, error: Forbidden) -> None:
        told.append((user, channel, error.reason))

    with denied.connected_to(note, sender=broadcast):
        with pytest.raises(Forbidden):
            broadcast.authorize("ann", "presence-rooms.8", socket_id="1.2")
        broadcast.answer(AuthRequest(body=b"socket_id=1.2"), "ann", sign_in=True)

    assert [(user, channel) for user, channel, _ in told] == [("ann", "presence-rooms.8"), ("ann", None)]
    assert told[0][2].endswith("says no")


async def test_both_verbs_give_the_same(broadcast: BroadcastManager) -> None:
    plain = broadcast.authorize("ann", "presence-rooms.7", socket_id="1.2")

    assert await broadcast.aauthorize("ann", "presence-rooms.7", socket_id="1.2") == plain
    assert plain["channel_data"] == '{"user_id":"ann"}'


def test_nothing_is_signed_for_a_malformed_name_or_socket(broadcast: BroadcastManager) -> None:
    with pytest.raises(InvalidSocketId):
        broadcast.authorize("ann", "presence-rooms.7", socket_id="x")
    with pytest.raises(InvalidChannelName):
        broadcast.authorize("ann", "presence-rooms 7", socket_id="1.2")
