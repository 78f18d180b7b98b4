from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.messages import Message
from broadcaster.queues.envelopes import Envelope, UnreadableEnvelope, open_envelope, seal

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
seconds = st.floats(0, 1e9, allow_nan=False)
messages = st.builds(
    Message,
    name=texts,
    channels=st.lists(texts, max_size=3).map(tuple),
    data=texts,
    except_socket=st.none() | texts,
    id=texts,
)
envelopes = st.builds(
    Envelope,
    messages,
    driver=texts,
    queue=texts,
    created=seconds,
    delay=seconds,
    expires=st.none() | seconds,
    tries=st.integers(1, 100),
    backoff=st.lists(seconds, max_size=4).map(tuple),
    attempt=st.integers(1, 100),
    unique=st.none() | texts,
    unique_for=seconds,
    event=texts,
    rescue=st.booleans(),
    trace=st.dictionaries(texts, texts, max_size=2),
)


@given(envelopes)
def test_what_is_sealed_is_read_again(envelope: Envelope) -> None:
    assert open_envelope(seal(envelope)) == envelope


def test_an_envelope_is_json_with_a_version_and_nothing_of_a_class() -> None:
    envelope = Envelope(Message("Said", ("lobby",), '{"text":"hi"}', id="7"), "pusher", created=1.5)

    assert json.loads(seal(envelope)) == {
        "v": 1,
        "id": "7",
        "name": "Said",
        "channels": ["lobby"],
        "data": '{"text":"hi"}',
        "socket": None,
        "driver": "pusher",
        "queue": "default",
        "created": 1.5,
        "delay": 0.0,
        "expires": None,
        "tries": 1,
        "backoff": [],
        "attempt": 1,
        "unique": None,
        "unique_for": 0.0,
        "event": "",
        "rescue": False,
        "trace": {},
    }


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\x80\x04]q\x00.", b"[]", b"null", b'{"v":2}', b"{}"])
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableEnvelope):
        open_envelope(body)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("created", f"1{'0' * 400}"),
        ("created", '"nan"'),
        ("created", "true"),
        ("delay", "1e999"),
        ("expires", '"nan"'),
        ("tries", "1e999"),
        ("tries", "0"),
        ("attempt", "-10"),
        ("attempt", "1.5"),
        ("backoff", '["1"]'),
        ("unique_for", "NaN"),
    ],
)
def test_what_is_no_number_that_makes_sense_is_refused(name: str, text: str) -> None:
    fields = json.loads(seal(Envelope(Message("a", ("b",), "{}"), "c"))) | {name: "HERE"}

    with pytest.raises(UnreadableEnvelope):
        open_envelope(json.dumps(fields).replace('"HERE"', text).encode())


@pytest.mark.parametrize("value", [None, 7, "x", [], [7], {}, True])
@pytest.mark.parametrize("name", json.loads(seal(Envelope(Message("a", (), ""), "b"))))
def test_a_field_that_is_missing_or_wrong_is_refused_or_read(name: str, value: Any) -> None:
    fields = json.loads(seal(Envelope(Message("a", ("b",), "secret"), "c")))
    without = {key: kept for key, kept in fields.items() if key != name}

    with pytest.raises(UnreadableEnvelope):
        open_envelope(json.dumps(without).encode())
    # Whatever it says of another value, it raises nothing else.
    with suppress(UnreadableEnvelope):
        open_envelope(json.dumps({**fields, name: value}).encode())


def test_a_refusal_does_not_tell_what_the_envelope_holds() -> None:
    fields = json.loads(seal(Envelope(Message("a", ("b",), ""), "c")))

    with pytest.raises(UnreadableEnvelope, match=r"^a field is not what it should be$"):
        open_envelope(json.dumps({**fields, "created": "secret"}).encode())


def test_the_last_pause_is_repeated() -> None:
    envelope = Envelope(Message("a", (), ""), "b", backoff=(1.0, 5.0))

    assert [envelope.pause(attempt) for attempt in (1, 2, 3, 9)] == [1.0, 5.0, 5.0, 5.0]
