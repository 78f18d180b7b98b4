from __future__ import annotations

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.subscribers import Subscribers

from .conversation import Conversation


def connections(count: int) -> list[Connection]:
    conversation = Conversation()
    return [conversation.connects().connection for _ in range(count)]


def test_the_audience_is_everyone_in_the_order_they_came() -> None:
    first, second, third = connections(3)
    subscribers = Subscribers()

    for connection in (second, first, third):
        subscribers.add(connection)

    assert subscribers.audience == (second, first, third)
    assert len(subscribers) == 3


def test_the_audience_is_the_same_tuple_until_someone_comes_or_goes() -> None:
    first, second = connections(2)
    subscribers = Subscribers()

    audiences = []
    for change, connection in [
        (subscribers.add, first),
        (subscribers.add, second),
        (subscribers.remove, first),
    ]:
        change(connection)
        audiences.append(subscribers.audience)
        assert subscribers.audience is audiences[-1]

    assert audiences == [(first,), (first, second), (second,)]


def test_a_tuple_that_was_handed_out_does_not_change() -> None:
    first, second = connections(2)
    subscribers = Subscribers()
    subscribers.add(first)
    audience = subscribers.audience

    subscribers.add(second)

    assert audience == (first,)


def test_a_channel_with_nobody_on_it_is_empty() -> None:
    (connection,) = connections(1)
    subscribers = Subscribers()
    subscribers.add(connection, "ann")

    subscribers.remove(connection, "ann")

    assert not subscribers
    assert subscribers.members == {}


def test_only_the_first_connection_of_a_user_is_news() -> None:
    first, second, other = connections(3)
    subscribers = Subscribers()

    news = [subscribers.add(first, "ann"), subscribers.add(second, "ann"), subscribers.add(other, "bob")]

    assert news == [True, False, True]


def test_only_the_last_connection_of_a_user_is_news_when_it_goes() -> None:
    first, second = connections(2)
    subscribers = Subscribers()
    subscribers.add(first, "ann")
    subscribers.add(second, "ann")

    assert not subscribers.remove(first, "ann")
    assert subscribers.is_member("ann")
    assert subscribers.remove(second, "ann")
    assert not subscribers.is_member("ann")


def test_a_user_counts_once_however_many_connections_it_has() -> None:
    subscribers = Subscribers()
    for connection in connections(3):
        subscribers.add(connection, "ann", {"name": "Ann"})

    assert subscribers.user_count == 1
    assert subscribers.members == {"ann": {"name": "Ann"}}


def test_the_info_of_the_first_connection_stays() -> None:
    first, second = connections(2)
    subscribers = Subscribers()
    subscribers.add(first, "ann", {"name": "Ann"})

    subscribers.add(second, "ann", {"name": "Other"})
    subscribers.remove(first, "ann")

    assert subscribers.members == {"ann": {"name": "Ann"}}


def test_a_user_who_comes_back_brings_new_info() -> None:
    first, second = connections(2)
    subscribers = Subscribers()
    subscribers.add(first, "ann", {"name": "Ann"})
    subscribers.remove(first, "ann")

    subscribers.add(second, "ann", {"name": "Anna"})

    assert subscribers.members == {"ann": {"name": "Anna"}}


def test_outside_of_presence_nobody_is_a_member() -> None:
    (connection,) = connections(1)
    subscribers = Subscribers()

    assert not subscribers.add(connection)
    assert subscribers.user_count == 0
    assert not subscribers.remove(connection)
