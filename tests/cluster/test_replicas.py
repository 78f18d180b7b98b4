from __future__ import annotations

from broadcaster.cluster.replicas import News, Replica, Share
from broadcaster.protocol.elsewhere import Change


def news(node: str, at: int, after: int, *came: str, gone: tuple[str, ...] = (), count: int = 1) -> News:
    return News(node, at, after, count, dict.fromkeys(came), gone)


def test_what_is_older_than_the_look_is_in_it() -> None:
    replica = Replica()
    replica.look(7, {}, hold=False)

    assert replica.hear(news("a-1", 7, 0, "ann")) == Change(0)
    assert replica.hear(news("a-1", 8, 0, "ann")) == Change(1, {"ann": None})


def test_what_was_told_twice_is_heard_once_and_what_is_missing_is_noticed() -> None:
    replica = Replica()
    replica.hear(news("a-1", 1, 0, "ann"))

    assert replica.hear(news("a-1", 1, 0, "ann")) == Change(1)
    assert replica.hear(news("a-1", 3, 2, "bob")) is None


def test_a_node_under_another_name_takes_the_place_of_what_it_was() -> None:
    replica = Replica()
    replica.hear(news("a-1", 1, 0, "ann", "bob", count=2))

    assert replica.hear(news("a-2", 5, 0, "ann")) == Change(1, {}, ("bob",))
    assert replica.nodes == {"a-2"}


def test_a_node_that_may_come_back_keeps_what_it_had_for_so_long() -> None:
    replica = Replica()
    replica.hear(news("a-1", 1, 0, "ann"))

    assert replica.look(9, {"b-1": Share(9, 1, {"bob": None})}, hold=True) == Change(2, {"bob": None})
    assert replica.look(9, {}, hold=False) == Change(0, {}, ("ann", "bob"))


def test_a_node_that_is_forgotten_takes_those_with_it_whom_nobody_else_has() -> None:
    replica = Replica()
    replica.hear(news("a-1", 1, 0, "ann", "bob", count=2))
    replica.hear(news("b-1", 2, 0, "bob"))

    assert replica.forget(frozenset({"a-1", "c-1"})) == Change(1, {}, ("ann",))
    assert replica.hear(news("b-1", 3, 2, gone=("bob",), count=0)) == Change(0, {}, ("bob",))
    assert replica.nodes == set()
