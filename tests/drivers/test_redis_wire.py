"""The bytes that reach Redis."""

from __future__ import annotations

import json
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import Message
from broadcaster.drivers._redis_wire import command, payload, publish

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("socket"), inner),
)


def test_the_example_of_laravel_with_its_escapes_spelled_out() -> None:
    message = Message(
        "App\\Events\\OrderShipped", ("private-orders.7",), '{"orderId":7}', except_socket="8_xVQG3YbPAAAA"
    )

    assert payload(message, with_id=False).decode() == (
        r'{"event":"App\\Events\\OrderShipped","data":{"orderId":7,"socket":"8_xVQG3YbPAAAA"},'
        r'"socket":"8_xVQG3YbPAAAA"}'
    )


@pytest.mark.parametrize(
    ("data", "published"),
    [
        ("{}", '{"socket":null}'),
        (" {\n} ", '{"socket":null}'),
        ('{"a":1 }\n', '{"a":1,"socket":null}'),
        ('{"a":{"b":[1.50,1e400]}}', '{"a":{"b":[1.50,1e400]},"socket":null}'),
        ("[1, 2]", "[1, 2]"),
        (" null ", "null"),
        ('"{}"', '"{}"'),
        ('{"to":"socket"}', '{"to":"socket","socket":null}'),
        ('{"socket":1,"a":2}', '{"socket":null,"a":2}'),
        ('{ "a" : 1e400 ,"socket"\t: {"socket":[2]} , "b":"}" }', '{"a" : 1e400,"socket":null,"b":"}"}'),
        (r'{"\u0073ocket":1}', '{"socket":null}'),
        (r'{"caf\u00e9":1.50}', r'{"caf\u00e9":1.50,"socket":null}'),
        ('{"a":{"socket":1}}', '{"a":{"socket":1},"socket":null}'),
    ],
)
def test_data_that_is_an_object_holds_the_socket_once(data: str, published: str) -> None:
    text = payload(Message("ping", ("lobby",), data), with_id=False).decode()

    assert text == f'{{"event":"ping","data":{published},"socket":null}}'


@pytest.mark.parametrize("with_id", [False, True])
@settings(max_examples=50)
@given(
    value=JSON, name=st.text(), socket=st.none() | st.text(), ascii_only=st.booleans(), loose=st.booleans()
)
def test_what_is_published_says_what_the_message_says(
    with_id: bool, value: Any, name: str, socket: str | None, ascii_only: bool, loose: bool
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=2 if loose else None)
    message = Message(name, ("lobby",), data, except_socket=socket)

    published = json.loads(payload(message, with_id=with_id))

    expected = {**value, "socket": socket} if isinstance(value, dict) else value
    last = {"id": message.id} if with_id else {}
    assert published == {"event": name, "data": expected, "socket": socket, **last}
    assert list(published) == ["event", "data", "socket", *last]


def test_half_a_surrogate_pair_stays_json() -> None:
    text = payload(Message("\ud83d", ("lobby",), '"\ud83d"'), with_id=False)

    assert json.loads(text) == {"event": "\ud83d", "data": "\ud83d", "socket": None}


@pytest.mark.parametrize("data", ['{"socket"', '{"socket":}', '{"a":[1,"socket"'])
def test_data_that_breaks_off_is_told_where_it_is_read(data: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        payload(Message("ping", ("lobby",), data), with_id=False)


@given(words=st.lists(st.binary(), min_size=1))
def test_a_command_is_what_another_parser_reads(words: list[bytes]) -> None:
    reader = hiredis.Reader()
    reader.feed(command(*words))

    assert reader.gets() == words


@given(channel=st.binary(), text=st.binary())
def test_publishing_is_a_command_like_any(channel: bytes, text: bytes) -> None:
    assert publish(b"SPUBLISH", channel, text) == command(b"SPUBLISH", channel, text)
