from __future__ import annotations

from broadcaster.protocol.connection import Connection

from .conversation import Conversation


def connection() -> Connection:
    return Conversation().connects().connection


def test_a_sign_of_life_answers_a_probe() -> None:
    conversation = Conversation()
    peer = conversation.connects().connection
    conversation.passes(120)

    peer.touch(1121.5)

    assert (peer.seen, peer.probed) == (1121.5, None)


def test_a_second_has_room_for_so_many_client_events() -> None:
    peer = connection()

    turns = [peer.take_turn(5.0 + step / 10, per_second=3) for step in range(5)]

    assert turns == [True, True, True, False, False]


def test_the_next_second_has_room_again() -> None:
    peer = connection()
    for _ in range(5):
        peer.take_turn(5.9, per_second=3)

    assert peer.take_turn(6.0, per_second=3)


def test_the_first_second_of_the_clock_counts_like_any_other() -> None:
    peer = connection()

    assert [peer.take_turn(0.0, per_second=1), peer.take_turn(0.5, per_second=1)] == [True, False]


def test_connections_count_their_client_events_apart() -> None:
    busy, calm = connection(), connection()
    busy.take_turn(5.0, per_second=1)

    assert not busy.take_turn(5.0, per_second=1)
    assert calm.take_turn(5.0, per_second=1)
