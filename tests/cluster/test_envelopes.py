from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import Message
from broadcaster.cluster.envelopes import (
    begins,
    open_envelope,
    open_recorded,
    seal_envelope,
    seal_news,
    seal_termination,
)
from broadcaster.cluster.journal import Entry
from broadcaster.cluster.replicas import News
from broadcaster.drivers._redis_wire import payload
from broadcaster.protocol.effects import Relay, Terminate

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT.filter(bool), TEXT, st.none() | TEXT, st.booleans(), st.none() | TEXT)
def test_what_a_node_says_the_others_hear_byte_for_byte(
    name: str, data: str, socket: str | None, whisper: bool, user_id: str | None
) -> None:
    relay = Relay(name, ("a",), data, socket, "id", whisper, user_id if whisper else None)

    sealed = seal_envelope(relay, node="n", message_id="id")

    assert open_envelope(sealed, "a") == (relay, True)
    assert sealed.startswith(begins("n"))
    assert not sealed.startswith(begins("na"))


@given(TEXT)
def test_a_termination_is_heard(user_id: str) -> None:
    sealed = seal_termination(Terminate(user_id), node="n")

    assert open_envelope(sealed, "") == (Terminate(user_id), True)
    assert sealed.startswith(begins("n"))


def test_what_is_new_at_a_place_is_heard() -> None:
    news = News("n-1", 7, 3, 2, {"ann": {"name": "Ann"}, "bob": None}, ("cid",))

    assert open_envelope(seal_news(news, node="n"), "a") == (news, True)


@pytest.mark.parametrize(
    ("data", "heard"),
    [('{"n":1}', {"n": 1}), ("[1]", [1]), ('"text"', "text"), ("null", None), ('{"socket":"1.2"}', {})],
)
def test_what_our_driver_publishes_is_heard_without_the_socket_that_laravel_writes(
    data: str, heard: object
) -> None:
    message = Message("news", ("a",), data, except_socket="1.2", id="7")

    relay, by_a_node = open_envelope(payload(message, with_id=True), "a")

    assert not by_a_node
    assert isinstance(relay, Relay)
    assert json.loads(relay.data) == heard
    assert relay == Relay("news", ("a",), relay.data, "1.2", "7")


def test_what_laravel_publishes_is_heard() -> None:
    said = rb'{"event":"App\\Events\\OrderShipped","data":{"orderId":7,"socket":null},"socket":null}'

    relay = Relay("App\\Events\\OrderShipped", ("orders",), '{"orderId":7}')

    assert open_envelope(said, "orders") == (relay, False)


@pytest.mark.parametrize(
    "said",
    [
        *(b"", b"hello", b"\xff", b"1", b"[]", b"{}"),
        *(b'{"event":"","data":1}', b'{"event":1,"data":1}', b'{"event":"e"}'),
        *(b'{"event":"e","data":1,"socket":7}', b'{"event":"e","data":1,"id":[]}'),
        b'{"event":"e","data":1,"node":"n"}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        open_envelope(said, "a")


def test_what_a_journal_tells_has_its_ids_before_what_was_said() -> None:
    sealed = seal_envelope(Relay("news", ("a",), "1"), node="n", message_id="id")
    told = b'{"at":"2-0","after":"1-7",' + sealed[1:]

    assert open_recorded(told) == Entry("2-0", "1-7", sealed)
    # A node of an earlier version takes it for what another one relays.
    assert open_envelope(told, "a") == open_envelope(sealed, "a")


def test_a_hole_has_nothing_that_was_said() -> None:
    assert open_recorded(b'{"at":"2-0","after":"1-7","hole":true}') == Entry("2-0", "1-7", b"")


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"event":"news","data":{}}', b'{"at":"","after":"1-0",'])
def test_what_no_journal_tells_is_not_taken_for_it(payload: bytes) -> None:
    assert open_recorded(payload) is None
