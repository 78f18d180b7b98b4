from __future__ import annotations

import enum
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import (
    Channel,
    EncryptedPrivateChannel,
    InvalidChannelName,
    PresenceChannel,
    PrivateChannel,
)
from broadcaster.channels import MAX_NAME_LENGTH, USER_PREFIX, Kind, check_name, is_cached, kind_of

LEGAL = string.ascii_letters + string.digits + "-_=@,.;"


@given(st.text(alphabet=LEGAL, min_size=1, max_size=MAX_NAME_LENGTH))
def test_a_name_of_legal_characters_is_legal(name: str) -> None:
    assert check_name(name) == name


@given(st.text(alphabet=LEGAL, max_size=20), st.characters().filter(lambda c: c not in LEGAL))
def test_any_other_character_is_refused_and_named_with_its_place(before: str, wrong: str) -> None:
    name = f"a{before}{wrong}z"

    with pytest.raises(InvalidChannelName) as caught:
        check_name(name)

    assert f"{wrong!r} at position {len(before) + 1}" in str(caught.value)
    assert caught.value.channel == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("orders 7", "' ' at position 6"),
        ("#orders", "'#' at position 0"),
        ("orders/7", "'/' at position 6"),
        ("orders:7", "':' at position 6"),
        ("orders.{id}", "'{' at position 7"),
        ("størrelse", "'ø' at position 2"),
        ("orders.\u0667", "'\u0667' at position 7"),
        ("orders\n", r"'\n' at position 6"),
        ("orders\r\n", r"'\r' at position 6"),
        ("\ud800", r"'\ud800' at position 0"),
    ],
)
def test_an_illegal_name_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidChannelName) as caught:
        check_name(name)

    assert reason in str(caught.value)


def test_an_illegal_name_is_a_value_error_and_tells_what_is_legal() -> None:
    with pytest.raises(ValueError, match=r"letters, digits and - _ = @ , \. ; are allowed"):
        check_name("no spaces")


def test_two_hundred_characters_are_allowed() -> None:
    assert check_name("a" * 200) == "a" * 200


def test_two_hundred_and_one_characters_are_too_many() -> None:
    with pytest.raises(InvalidChannelName, match="it has 201 characters, 200 are allowed"):
        check_name("a" * 201)


def test_the_prefix_counts_towards_the_length() -> None:
    longest = "a" * (200 - len("private-"))

    assert len(PrivateChannel(longest).name) == 200
    with pytest.raises(InvalidChannelName, match="201"):
        PrivateChannel(longest + "a")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("private-orders.7", Kind.PRIVATE),
        ("private-", Kind.PRIVATE),
        ("private-encrypted", Kind.PRIVATE),
        ("private-encrypted-orders.7", Kind.ENCRYPTED),
        ("private-cache-orders", Kind.PRIVATE),
        ("presence-room", Kind.PRESENCE),
        ("presence-cache-room", Kind.PRESENCE),
        ("#server-to-user-7", Kind.USER),
        ("orders", Kind.PUBLIC),
        ("privateer", Kind.PUBLIC),
        ("private", Kind.PUBLIC),
        ("private_orders", Kind.PUBLIC),
        ("Private-x", Kind.PUBLIC),
        ("PRESENCE-x", Kind.PUBLIC),
        ("my-private-x", Kind.PUBLIC),
        ("presence", Kind.PUBLIC),
        ("presences-x", Kind.PUBLIC),
        ("test-private-encrypted-x", Kind.PUBLIC),
        ("cache-x", Kind.PUBLIC),
    ],
)
def test_the_prefix_tells_the_kind(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    ("name", "cached"),
    [
        ("cache-a", True),
        ("private-cache-a", True),
        ("presence-cache-a", True),
        ("private-encrypted-cache-a", True),
        ("cache", False),
        ("Cache-a", False),
        ("my-cache-a", False),
        ("private-my-cache-a", False),
        ("presence-private-cache-a", False),
        ("#server-to-user-cache-a", False),
    ],
)
def test_a_cache_channel_says_so_after_its_prefix(name: str, cached: bool) -> None:
    assert is_cached(name) == cached


def test_private_presence_and_encrypted_channels_are_guarded() -> None:
    assert {kind for kind in Kind if kind.guarded} == {Kind.PRIVATE, Kind.PRESENCE, Kind.ENCRYPTED}


def test_a_channel_of_a_user_takes_any_printable_id() -> None:
    assert check_name("#server-to-user-ann@example.org/ü 7") == "#server-to-user-ann@example.org/ü 7"


@pytest.mark.parametrize("user", ["", "7\n", "7\x00", "\u2028"])
def test_a_channel_of_a_user_without_a_printable_id_is_refused(user: str) -> None:
    with pytest.raises(InvalidChannelName, match="a printable user id must follow '#server-to-user-'"):
        check_name(USER_PREFIX + user)


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        (Channel("orders.7"), "orders.7"),
        (PrivateChannel("orders.7"), "private-orders.7"),
        (PresenceChannel("room"), "presence-room"),
        (EncryptedPrivateChannel("orders.7"), "private-encrypted-orders.7"),
    ],
)
def test_a_channel_puts_its_prefix_before_the_name(channel: Channel, name: str) -> None:
    assert channel.name == name
    assert str(channel) == name


def test_a_channel_checks_its_name() -> None:
    with pytest.raises(InvalidChannelName, match="' ' at position 11"):
        PrivateChannel("the orders")


def test_channels_of_one_kind_and_name_are_equal() -> None:
    channels: list[Channel] = [PrivateChannel("a"), PrivateChannel("a"), PresenceChannel("a"), Channel("a")]

    assert channels[0] == channels[1]
    assert channels[0] != channels[2]
    assert len(set(channels)) == 3


def test_a_channel_does_not_change() -> None:
    with pytest.raises(AttributeError):
        PrivateChannel("orders").name = "private-other"  # type: ignore[misc]


def test_a_channel_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(PresenceChannel("room"))) == PresenceChannel("room")


def test_the_member_of_a_string_enum_becomes_a_plain_string() -> None:
    class Rooms(str, enum.Enum):  # noqa: UP042 - the kind of Enum whose str() is not its value
        LOBBY = "the-lobby"

    assert type(check_name(Rooms.LOBBY)) is str
    assert type(check_name("the-lobby")) is str
    assert f"{check_name('the-lobby')}" == "the-lobby"


def test_a_name_of_any_length_makes_an_error_text_that_can_be_read() -> None:
    with pytest.raises(InvalidChannelName) as refused:
        check_name("x" * 60_000)

    assert len(str(refused.value)) < 400
    assert len(refused.value.channel) == 60_000


def test_the_id_of_a_user_may_be_as_long_as_any_other_name() -> None:
    assert check_name(USER_PREFIX + "x" * 200)
    with pytest.raises(InvalidChannelName, match="201 characters, 200 are allowed"):
        check_name(USER_PREFIX + "x" * 201)
