from __future__ import annotations

import pickle

import pytest

from broadcaster import Member, Message, SignIn


def test_every_message_has_an_id_of_its_own() -> None:
    ids = {Message("Ping", ("lobby",), "{}").id for _ in range(100)}

    assert len(ids) == 100
    assert all(len(id_) == 32 and int(id_, 16) >= 0 for id_ in ids)


def test_a_message_goes_to_everybody_unless_a_socket_is_left_out() -> None:
    assert Message("Ping", ("lobby",), "{}").except_socket is None
    assert Message("Ping", ("lobby",), "{}", except_socket="12.34").except_socket == "12.34"


def test_a_message_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Message("Ping", ("lobby",), "{}").name = "Pong"  # type: ignore[misc]


def test_a_message_with_the_same_id_and_content_is_the_same_message() -> None:
    message = Message("Ping", ("lobby",), "{}")

    assert pickle.loads(pickle.dumps(message)) == message
    assert Message("Ping", ("lobby",), "{}") != message


# People.


@pytest.mark.parametrize(("given", "text"), [(7, "7"), ("ann", "ann"), (0, "0")])
def test_the_id_of_a_person_is_text(given: object, text: str) -> None:
    assert (Member(given).id, SignIn(given).id) == (text, text)


@pytest.mark.parametrize("given", [None, "", True, False])
def test_what_is_nobodys_id_is_told(given: object) -> None:
    for kind in (Member, SignIn):
        with pytest.raises(ValueError, match="is nobody's id"):
            kind(given)
    with pytest.raises(ValueError, match="is nobody's id"):
        SignIn(7, watchlist=[given])
