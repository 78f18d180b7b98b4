from __future__ import annotations

from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.waiting import Waiting, WaitingRoom


class Wire:
    deflated = False

    def write(self, payload: object) -> None: ...

    def probe(self) -> None: ...

    def hang_up(self, code: int, reason: str) -> None: ...


def waiting(socket_id: str, last_id: str | None = None) -> Waiting:
    return Waiting(Connection(socket_id, Wire()), User("ann", None), last_id)


def test_who_waits_comes_out_in_order_and_knows_it() -> None:
    room, one, other = WaitingRoom(), waiting("1.1"), waiting("2.2")

    assert [room.enter("a", one), room.enter("a", other), room.enter("b", one)] == [True, False, True]
    assert one.connection.waiting == {"a", "b"}
    assert room.empty("a") == [one, other]

    assert (one.connection.waiting, other.connection.waiting) == ({"b"}, set())
    assert room.empty("a") == []


def test_who_asks_again_waits_in_its_place_with_what_it_said_last() -> None:
    room, one, other = WaitingRoom(), waiting("1.1"), waiting("2.2")
    again = Waiting(one.connection, None, "7")

    for each in (one, other, again):
        room.enter("a", each)

    assert room.empty("a") == [again, other]


def test_who_goes_is_forgotten_and_the_last_one_is_told_apart() -> None:
    room, one, other = WaitingRoom(), waiting("1.1"), waiting("2.2")
    for each in (one, other):
        room.enter("a", each)

    assert [room.leave("a", one.connection), room.leave("a", other.connection)] == [False, True]

    assert room.empty("a") == []
    assert one.connection.waiting == set()


def test_all_may_be_sent_away() -> None:
    room, one = WaitingRoom(), waiting("1.1")
    room.enter("a", one)

    assert room.clear() == ["a"]

    assert (room.empty("a"), one.connection.waiting) == ([], set())
