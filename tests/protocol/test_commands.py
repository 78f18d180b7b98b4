from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from broadcaster.errors import ProtocolViolation
from broadcaster.protocol.codes import Code
from broadcaster.protocol.commands import ClientEvent, Ping, Pong, SignIn, Subscribe, Unsubscribe, parse


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"pusher:ping","data":{}}',
        '{"event": "pusher:ping"}',
        '{"event":"pusher:ping","data":""}',
        '{"event":"pusher:ping","data":null}',
        '{"data":"{}","event":"pusher:ping","channel":null}',
    ],
)
def test_a_ping_is_a_ping_whatever_its_data(text: str) -> None:
    assert parse(text) == Ping()


def test_a_pong_is_understood() -> None:
    assert parse('{"event":"pusher:pong","data":{}}') == Pong()


def test_a_public_subscription_comes_with_an_empty_auth_from_javascript() -> None:
    command = parse('{"event":"pusher:subscribe","data":{"auth":"","channel":"orders"}}')

    assert command == Subscribe("orders", auth="", channel_data=None)


def test_a_public_subscription_comes_without_auth_from_swift_and_java() -> None:
    command = parse('{"event":"pusher:subscribe","data":{"channel":"orders"}}')

    assert command == Subscribe("orders", auth="", channel_data=None)


def test_a_null_auth_and_null_channel_data_count_as_absent() -> None:
    command = parse('{"event":"pusher:subscribe","data":{"channel":"a","auth":null,"channel_data":null}}')

    assert command == Subscribe("a", auth="", channel_data=None)


def test_channel_data_stays_the_text_that_was_signed() -> None:
    channel_data = '{ "user_id" : 10,\t"user_info": {"name":"Zo\\u00eb","home":"a\\/b"} }'

    command = parse(
        json.dumps(
            {"event": "pusher:subscribe", "data": {"channel": "presence-a", "channel_data": channel_data}}
        )
    )

    assert command == Subscribe("presence-a", auth="", channel_data=channel_data)


def test_data_may_be_a_json_string() -> None:
    data = json.dumps({"channel": "private-a", "auth": "k:s"})

    command = parse(json.dumps({"event": "pusher:subscribe", "data": data}))

    assert command == Subscribe("private-a", auth="k:s", channel_data=None)


def test_an_unsubscription_names_its_channel() -> None:
    assert parse('{"event":"pusher:unsubscribe","data":{"channel":"orders"}}') == Unsubscribe("orders")


def test_user_data_stays_the_text_that_was_signed() -> None:
    user_data = '{ "id":"1", "user_info": {"name":"Zo\\u00eb"} }'

    command = parse(json.dumps({"event": "pusher:signin", "data": {"auth": "k:s", "user_data": user_data}}))

    assert command == SignIn(auth="k:s", user_data=user_data)


def test_the_data_of_a_client_event_is_encoded_once() -> None:
    command = parse('{"event":"client-typing","channel":"private-a","data": {"name": "Ann", "n": [1, 2]} }')

    assert command == ClientEvent("client-typing", "private-a", '{"name":"Ann","n":[1,2]}')


@pytest.mark.parametrize("data", ["hello", "", '{"name": "Ann"}', '"quoted"', "12", "nothing [but text"])
def test_string_data_of_a_client_event_is_handed_on_as_it_is(data: str) -> None:
    command = parse(json.dumps({"event": "client-typing", "channel": "private-a", "data": data}))

    assert command == ClientEvent("client-typing", "private-a", data)


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        "[]",
        '{"a":{}}',
        '{"_a":{"_b":1}}',
        "[{},[]]",
        "null",
        "true",
        "12",
        "0",
        "1.5",
        "-0.0",
        "12345678901234567890123",
    ],
)
def test_json_data_of_a_client_event_keeps_its_shape(data: str) -> None:
    command = parse(f'{{"event":"client-a","channel":"private-a","data":{data}}}')

    assert command == ClientEvent("client-a", "private-a", data)


def test_a_client_event_without_data_carries_an_empty_object() -> None:
    assert parse('{"event":"client-a","channel":"private-a"}') == ClientEvent("client-a", "private-a", "{}")


def test_other_scripts_are_not_escaped() -> None:
    command = parse('{"event":"client-a","channel":"private-a","data":{"name":"Zo\\u00eb \\ud83d\\ude00"}}')

    assert command == ClientEvent("client-a", "private-a", '{"name":"Zoë 😀"}')


def test_a_user_id_in_the_frame_is_not_even_read() -> None:
    command = parse('{"event":"client-a","channel":"presence-a","data":"x","user_id":"admin"}')

    assert command == ClientEvent("client-a", "presence-a", "x")


def refusal(text: str) -> ProtocolViolation:
    with pytest.raises(ProtocolViolation) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "{",
        "{}x",
        "'{}'",
        '{"event":NaN}',
        '{"event":Infinity}',
        "\ufeff{}",
        "\x00",
        "\ud800",
    ],
    ids=ascii,
)
def test_what_is_not_json_is_refused(text: str) -> None:
    violation = refusal(text)

    assert (violation.code, violation.message) == (Code.RECONNECT, "the frame is not JSON")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda text: f'{{"event":"client-a","channel":"private-a","data":{text}}}', "the frame is not JSON"),
        (lambda text: json.dumps({"event": "pusher:subscribe", "data": text}), "data is not JSON"),
    ],
    ids=["in the frame", "in the data"],
)
@pytest.mark.parametrize(
    "text", ['"\\ud800"', '"\\udc00\\ud800"', "[" * 100_000, "[" * 1000 + "]" * 1000, "1" * 5000]
)
def test_json_that_no_reader_could_take_is_refused(make: Callable[[str], str], text: str, what: str) -> None:
    assert refusal(make(text)).message == what


@pytest.mark.parametrize(
    "text", ["null", "true", "1", "1e999", '"pusher:ping"', "[]", '[{"event":"pusher:ping"}]']
)
def test_json_that_is_no_object_is_refused(text: str) -> None:
    assert refusal(text).message == "the frame is not a JSON object"


@pytest.mark.parametrize(
    "event", ["{}", '{"event":null}', '{"event":1}', '{"event":{}}', '{"Event":"pusher:ping"}']
)
def test_a_frame_needs_the_name_of_an_event(event: str) -> None:
    assert refusal(event).message == "'event' is not a string"


@pytest.mark.parametrize("event", ["pusher:subscribe", "pusher:unsubscribe", "pusher:signin"])
@pytest.mark.parametrize("data", ["null", "1", "[]", "true", '"[]"', '"null"', "1e999"])
def test_data_that_is_no_object_is_refused(event: str, data: str) -> None:
    assert "not a JSON object" in refusal(f'{{"event":"{event}","data":{data}}}').message


@pytest.mark.parametrize("event", ["pusher:subscribe", "pusher:unsubscribe", "pusher:signin"])
def test_empty_data_is_refused(event: str) -> None:
    assert refusal(f'{{"event":"{event}","data":""}}').message == "data is not JSON"


@pytest.mark.parametrize("event", ["pusher:subscribe", "pusher:unsubscribe", "pusher:signin"])
def test_absent_data_is_refused(event: str) -> None:
    assert refusal(f'{{"event":"{event}"}}').message == "data is not a JSON object"


@pytest.mark.parametrize(
    ("event", "data", "key"),
    [
        ("pusher:subscribe", {}, "channel"),
        ("pusher:subscribe", {"channel": None}, "channel"),
        ("pusher:subscribe", {"channel": ["a"]}, "channel"),
        ("pusher:subscribe", {"channel": "a", "auth": 1}, "auth"),
        ("pusher:subscribe", {"channel": "a", "channel_data": {"user_id": "1"}}, "channel_data"),
        ("pusher:subscribe", {"channel": "a", "channel_data": False}, "channel_data"),
        ("pusher:unsubscribe", {"channel": 1}, "channel"),
        ("pusher:signin", {"user_data": "{}"}, "auth"),
        ("pusher:signin", {"auth": "k:s"}, "user_data"),
        ("pusher:signin", {"auth": "k:s", "user_data": {"id": "1"}}, "user_data"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(event: str, data: object, key: str) -> None:
    assert refusal(json.dumps({"event": event, "data": data})).message == f"{key!r} is not a string"


@pytest.mark.parametrize("channel", ["null", "1", "{}"])
def test_a_client_event_needs_a_channel(channel: str) -> None:
    assert refusal(f'{{"event":"client-a","channel":{channel}}}').message == "'channel' is not a string"


@pytest.mark.parametrize("number", ["1e999", "[-1e999]", '{"deep":[{"er":1e400}]}'])
def test_a_number_that_no_client_could_read_is_refused(number: str) -> None:
    violation = refusal(f'{{"event":"client-a","channel":"private-a","data":{number}}}')

    assert violation.message == "data holds a number out of range"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "client",
        "Client-a",
        "news",
        "pusher:",
        "pusher:Ping",
        "pusher:subscribe\x00",
        "pusher:error",
        "pusher:connection_established",
        "pusher_internal:member_added",
        "pusher_internal:subscription_succeeded",
    ],
)
def test_a_client_may_send_no_other_event(name: str) -> None:
    violation = refusal(json.dumps({"event": name, "channel": "private-a", "data": {}}))

    assert (violation.code, violation.message) == (Code.RECONNECT, f"unknown event {name!r}")


def test_the_refusal_of_a_huge_name_is_not_huge() -> None:
    violation = refusal(json.dumps({"event": "x" * 60_000}))

    assert len(violation.message) < 300
