from __future__ import annotations

from dataclasses import replace

import pytest

from broadcaster.protocol.app import App
from broadcaster.protocol.door import Door
from broadcaster.protocol.handshake import Refusal, Visit
from broadcaster.protocol.limits import Limits

from .conversation import APP, Conversation

VISIT = Visit({"protocol": "7"}, "https://example.com", "192.0.2.1")


def code(refusal: Refusal | None) -> int | None:
    return None if refusal is None else refusal.code


def test_whoever_nothing_speaks_against_may_connect() -> None:
    assert Door(APP).refusal(VISIT) is None


@pytest.mark.parametrize(
    ("app", "visit", "expected"),
    [
        (replace(APP, enabled=False), VISIT, 4003),
        (APP, Visit({}), 4008),
        (replace(APP, origins=("https://example.org",)), VISIT, 4009),
        (replace(APP, origins=("https://example.com",)), VISIT, None),
    ],
)
def test_who_may_not_is_told_by_its_code(app: App, visit: Visit, expected: int | None) -> None:
    assert code(Door(app).refusal(visit)) == expected


def test_an_application_over_its_quota_is_4004_until_somebody_leaves() -> None:
    door = Door(replace(APP, limits=Limits(connections=2)))
    door.entered("a")
    door.entered("b")

    full = code(door.refusal(VISIT))
    door.left("a")

    assert (full, door.refusal(VISIT)) == (4004, None)


def test_an_address_with_too_many_connections_is_4100_and_others_are_not() -> None:
    door = Door(replace(APP, limits=Limits(connections_per_address=2)))
    for _ in range(2):
        door.entered(VISIT.address)

    assert code(door.refusal(VISIT)) == 4100
    assert door.refusal(replace(VISIT, address="192.0.2.2")) is None


def test_nothing_is_remembered_of_an_address_that_is_gone() -> None:
    conversation = Conversation()

    for client in conversation.subscribed("a", 3):
        client.disconnects()

    assert not conversation.hub._door._inside


def test_a_closed_hub_counts_from_zero() -> None:
    conversation = Conversation()
    conversation.subscribed("a", 3)

    conversation.perform(conversation.hub.close(4100, "bye"))

    assert not conversation.hub._door._inside


def test_new_rules_hold_for_who_comes_next() -> None:
    door = Door(APP)

    door.update(replace(APP, enabled=False))

    assert code(door.refusal(VISIT)) == 4003


# Frames and requests


def test_a_client_that_sends_frames_without_end_is_closed_with_4100() -> None:
    conversation = Conversation(Limits(frames_per_second=1, frame_burst=3))
    (client,) = conversation.silence([conversation.connects()])

    for _ in range(3):
        client.says("pusher:ping", {})
    (error,) = client.says("pusher:ping", {})

    assert (error["event"], error["data"]["code"], client.closed_with) == ("pusher:error", 4100, 4100)


def test_a_client_that_joins_all_its_channels_at_once_stays() -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    for number in range(1_000):
        client.subscribes(f"channel-{number}")

    assert client.closed_with is None
