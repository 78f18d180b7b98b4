import pytest

from broadcaster.protocol.census import (
    Census,
    Channels,
    Counts,
    Occupancy,
    UsersOn,
    is_listed,
    take_census,
)
from tests.protocol.conversation import Conversation


def crowd() -> Conversation:
    """Two connections on a public channel, and two of one user on a presence channel."""
    conversation = Conversation()
    conversation.subscribed("orders", 2)
    conversation.joined("presence-room", "ann", "ann")
    return conversation


def test_connections_and_users_are_counted_apart() -> None:
    census = take_census(crowd().hub, Counts(["presence-room", "orders", "nowhere"]))

    assert census == Census({"presence-room": Occupancy(2, 1), "orders": Occupancy(2, 0)})


def test_the_occupied_channels_are_found_by_how_they_begin() -> None:
    census = take_census(crowd().hub, Channels("presence-"))

    assert census == Census({"presence-room": Occupancy(2, 1)})


def test_users_are_found_once_however_many_connections_they_have() -> None:
    assert take_census(crowd().hub, UsersOn("presence-room")) == Census(users=["ann"])


@pytest.mark.parametrize(
    ("channel", "prefix", "listed"),
    [
        ("orders", "", True),
        ("orders", "ord", True),
        ("orders", "x", False),
        ("#server-to-user-7", "", False),
        ("#server-to-user-7", "#server-to-user-", True),
    ],
)
def test_channels_of_single_users_are_listed_only_by_their_own_prefix(
    channel: str, prefix: str, listed: bool
) -> None:
    assert is_listed(channel, prefix) is listed
