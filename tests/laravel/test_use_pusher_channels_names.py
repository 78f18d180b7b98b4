"""Laravel's UsePusherChannelsNamesTest: which name a rule is asked about, and who must ask."""

from __future__ import annotations

import pytest

from broadcaster import BroadcastManager, Forbidden, Member
from broadcaster.channels import kind_of

GUARDED = ["private-", "private-encrypted-", "presence-"]

# Each pattern with a name that it matches: a brace is no letter of a channel's name.
NAMES = [
    ("test", "test"),
    ("test-channel", "test-channel"),
    ("test-private-channel", "test-private-channel"),
    ("test-presence-channel", "test-presence-channel"),
    ("abcd.efgh", "abcd.efgh"),
    ("abcd.efgh.ijkl", "abcd.efgh.ijkl"),
    ("test.{param}", "test.7"),
    ("test-{param}", "test-7"),
    ("{a}.{b}", "x.y"),
    ("{a}-{b}", "x-y"),
    ("{a}-{b}.{c}", "x-y.z"),
]


def broadcast_with(pattern: str) -> tuple[BroadcastManager, list[object]]:
    """Return a manager with one rule, and the users that the rule was asked about."""
    broadcast, asked = BroadcastManager(), list[object]()

    @broadcast.channel(pattern)
    def rule(user: object) -> Member:
        asked.append(user)
        return Member(42)

    return broadcast, asked


@pytest.mark.parametrize("prefix", GUARDED)
@pytest.mark.parametrize(("pattern", "name"), NAMES)
def test_a_rule_is_asked_about_the_name_without_its_prefix(prefix: str, pattern: str, name: str) -> None:
    broadcast, asked = broadcast_with(pattern)

    broadcast.authorize("ann", prefix + name, socket_id="1.2")

    assert asked == ["ann"]


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("private-private-test", "private-test"),
        ("private-presence-test", "presence-test"),
        ("presence-private-test", "private-test"),
        ("presence-presence-test", "presence-test"),
        ("private-encrypted-private-123", "private-123"),
    ],
)
def test_only_the_first_prefix_is_taken_off(channel: str, name: str) -> None:
    broadcast, asked = BroadcastManager(), list[str]()

    @broadcast.channel("{name}")
    def rule(user: object, name: str) -> Member:
        asked.append(name)
        return Member(user)

    broadcast.authorize("ann", channel, socket_id="1.2")

    assert asked == [name]


def test_the_pattern_of_another_name_does_not_match() -> None:
    broadcast, asked = broadcast_with("Test.{id}")

    with pytest.raises(Forbidden, match="no rule matches 'TestChannel'"):
        broadcast.authorize("ann", "private-TestChannel", socket_id="1.2")
    assert asked == []


@pytest.mark.parametrize(
    ("pattern", "channel"),
    [
        *((pattern, prefix + name) for prefix in GUARDED for pattern, name in NAMES),
        *(
            ("{name}", f"{first}-{second}-test")
            for first in ("private", "presence")
            for second in ("private", "presence")
        ),
    ],
)
def test_a_guarded_channel_takes_a_user(pattern: str, channel: str) -> None:
    broadcast, asked = broadcast_with(pattern)

    with pytest.raises(Forbidden, match="nobody is signed in"):
        broadcast.authorize(None, channel, socket_id="1.2")
    assert kind_of(channel).guarded
    assert asked == []


@pytest.mark.parametrize(("pattern", "name"), [*NAMES, ("public-test", "public-test")])
def test_a_public_channel_takes_no_leave(pattern: str, name: str) -> None:
    broadcast, asked = broadcast_with(pattern)

    with pytest.raises(Forbidden, match="no channel of that kind takes anybody's leave"):
        broadcast.authorize("ann", name, socket_id="1.2")
    assert not kind_of(name).guarded
    assert asked == []
