from __future__ import annotations

import json
from typing import Any

import pytest

from broadcaster.protocol.api_bodies import Trigger, read_batch, read_info, read_trigger
from broadcaster.protocol.api_errors import ApiError
from broadcaster.protocol.limits import Limits

LIMITS = Limits()
EVENT = {"name": "e", "channels": ["a"], "data": "{}"}


def body(**fields: Any) -> bytes:
    """Return the body of a good event, with *fields* changed; those that are None are left out."""
    return json.dumps(
        {key: value for key, value in {**EVENT, **fields}.items() if value is not None}
    ).encode()


def refusal(raw: bytes) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        read_trigger(raw, LIMITS)
    return caught.value.status, caught.value.message


def test_an_event_is_read_whole() -> None:
    raw = (
        b'{"name":"my-event","channels":["a","private-b"],"data":"{}",'
        b'"socket_id":"1234.1234","info":"user_count,subscription_count"}'
    )

    assert read_trigger(raw, LIMITS) == Trigger(
        "my-event", ["a", "private-b"], "{}", "1234.1234", frozenset({"user_count", "subscription_count"})
    )


def test_only_a_name_channels_and_data_are_needed() -> None:
    assert read_trigger(body(), LIMITS) == Trigger("e", ["a"], "{}", None, frozenset())


def test_php_sends_a_single_channel_by_itself_and_escapes_slashes() -> None:
    raw = b'{"name":"e","data":"{\\"url\\":\\"a\\\\\\/b\\"}","channel":"a"}'

    trigger = read_trigger(raw, LIMITS)

    assert (trigger.channels, trigger.data) == (["a"], '{"url":"a\\/b"}')


def test_channels_go_before_channel() -> None:
    assert read_trigger(body(channels=["a", "b"], channel="c"), LIMITS).channels == ["a", "b"]


def test_a_channel_that_is_listed_twice_is_one_channel() -> None:
    assert read_trigger(body(channels=["b", "a", "b"]), LIMITS).channels == ["b", "a"]


def test_the_channel_of_a_user_may_be_named() -> None:
    assert read_trigger(body(channels=["#server-to-user-Zoë"]), LIMITS).channels == ["#server-to-user-Zoë"]


@pytest.mark.parametrize("data", ["", "hello", "{}", '{ "a": 1.10 }', "☃", "NaN", "\x00"])
def test_data_is_any_string_and_stays_as_it_is(data: str) -> None:
    assert read_trigger(body(data=data), LIMITS).data == data


@pytest.mark.parametrize("extra", [{"ttl": 1}, {"tags": []}, {"socket_id": None}])
def test_fields_that_are_not_known_do_not_matter(extra: dict[str, Any]) -> None:
    assert read_trigger(json.dumps({**EVENT, **extra}).encode(), LIMITS).name == "e"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"name=e&channel=a",
        b"{",
        b'{"name":"e"}x',
        b"\xff\xfe",
        b'{"name":"\xe9","channel":"a","data":"{}"}',
        b'{"name":"\xed\xa0\x80","channel":"a","data":"{}"}',
        b'{"name":"e","channel":"a","data":"\\ud800"}',
        b'{"name":"e","channel":"a","data":NaN}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        "{}".encode("utf-16"),
    ],
    ids=range(12),
)
def test_a_body_that_is_no_json_is_refused(raw: bytes) -> None:
    status, message = refusal(raw)

    assert status == 400
    assert message.startswith("the body is not JSON")


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"e"', b"1", b"1e999", b"[{}]"])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    assert refusal(raw) == (400, "an event must be a JSON object")


@pytest.mark.parametrize("name", [None, "", 1, ["e"], {}, True])
def test_an_event_needs_a_name(name: object) -> None:
    assert refusal(body(name=name)) == (400, "name must be a string that is not empty")


@pytest.mark.parametrize("name", ["x" * 200, "é" * 200, "client-typing", "pusher", "Pusher:x", "my:pusher:x"])
def test_a_name_may_be_anything_up_to_its_limit(name: str) -> None:
    assert read_trigger(body(name=name), LIMITS).name == name


@pytest.mark.parametrize("name", ["x" * 201, "é" * 201])
def test_a_longer_name_is_refused(name: str) -> None:
    assert refusal(body(name=name)) == (400, "name has 201 characters, 200 are allowed")


@pytest.mark.parametrize(
    "name", ["pusher:", "pusher:error", "pusher_internal:member_added", "pusher_internal:"]
)
def test_the_names_of_the_protocol_itself_are_refused(name: str) -> None:
    status, message = refusal(body(name=name))

    assert status == 400
    assert "reserved" in message


@pytest.mark.parametrize("channels", [[], {}, 1, True, [1], ["a", None], [["a"]], "", [""]])
def test_an_event_needs_channels(channels: object) -> None:
    assert refusal(body(channels=channels))[0] == 400


def test_an_event_without_channels_is_refused() -> None:
    assert refusal(body(channels=None)) == (
        400,
        "channels must be a list of channel names, or channel a single one",
    )


@pytest.mark.parametrize(
    "channel", ["a b", "a/b", "a:b", "é", "#a", "#server-to-user-", "a\x00", "a\n", "x" * 201]
)
def test_an_illegal_channel_name_is_refused(channel: str) -> None:
    status, message = refusal(body(channels=["fine", channel]))

    assert status == 400
    assert "invalid channel name" in message


def test_a_channel_name_may_be_as_long_as_its_limit() -> None:
    assert read_trigger(body(channels=["x" * 200]), LIMITS).channels == ["x" * 200]


def test_a_hundred_channels_are_allowed() -> None:
    channels = [f"channel-{number}" for number in range(100)]

    assert read_trigger(body(channels=channels), LIMITS).channels == channels


def test_one_channel_more_is_refused() -> None:
    status, message = refusal(body(channels=[f"channel-{number}" for number in range(101)]))

    assert (status, message) == (400, "the event has 101 channels, 100 are allowed")


@pytest.mark.parametrize("data", [None, {}, [], 1, {"a": 1}, True])
def test_data_that_is_no_string_is_refused(data: object) -> None:
    assert refusal(body(data=data)) == (400, "data must be a string, usually one that holds JSON")


@pytest.mark.parametrize("data", ["x" * 10_240, "é" * 5_120, "☃" * 3_413 + "x", "😀" * 2_560])
def test_data_may_have_10240_bytes(data: str) -> None:
    assert read_trigger(body(data=data), LIMITS).data == data


@pytest.mark.parametrize("data", ["x" * 10_241, "é" * 5_120 + "x", "☃" * 3_413 + "xx", "😀" * 2_560 + "x"])
def test_a_byte_more_is_413(data: str) -> None:
    assert refusal(body(data=data)) == (
        413,
        "the data content of this event has 10241 bytes, 10240 are allowed",
    )


def test_escapes_in_the_body_do_not_count() -> None:
    raw = b'{"name":"e","channel":"a","data":"' + b"\\u0041" * 10_240 + b'"}'

    assert read_trigger(raw, LIMITS).data == "A" * 10_240


@pytest.mark.parametrize("socket_id", ["1.1", "1234567890.1234567890"])
def test_a_socket_id_is_two_numbers(socket_id: str) -> None:
    assert read_trigger(body(socket_id=socket_id), LIMITS).socket_id == socket_id


@pytest.mark.parametrize(
    "socket_id",
    ["", "1", "1.", ".1", "1.1:", ":1.1", "1.1\n", "1.1.1", "a.b", "\u0661.\u0661", 1.1, 1, [], {}],
)
def test_a_malformed_socket_id_is_refused(socket_id: object) -> None:
    assert refusal(body(socket_id=socket_id)) == (400, "socket_id must be digits, a dot and digits")


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ("", set()),
        ("user_count", {"user_count"}),
        ("user_count,subscription_count", {"user_count", "subscription_count"}),
        (" subscription_count , user_count,", {"user_count", "subscription_count"}),
        ("user_count,user_count", {"user_count"}),
    ],
)
def test_info_is_a_list_of_words(info: str, expected: set[str]) -> None:
    assert read_info(info) == expected


@pytest.mark.parametrize(
    "info", ["cached", "user_count,members", "User_Count", "user_count subscription_count"]
)
def test_an_unknown_word_is_refused(info: str) -> None:
    with pytest.raises(ApiError, match="known: subscription_count, user_count") as caught:
        read_info(info)

    assert caught.value.status == 400


@pytest.mark.parametrize("info", [["user_count"], 1, {}, True])
def test_info_that_is_no_string_is_refused(info: object) -> None:
    assert refusal(body(info=info)) == (400, "info must be a string of words between commas")


# Batches


def batch(*events: object) -> bytes:
    return json.dumps({"batch": events}).encode()


def batch_refusal(raw: bytes) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        read_batch(raw, LIMITS)
    return caught.value.status, caught.value.message


def test_a_batch_is_read_in_order() -> None:
    raw = batch(
        {"channel": "a", "name": "first", "data": "1"},
        {"channels": ["b"], "name": "second", "data": "2", "socket_id": "1.2", "info": "user_count"},
    )

    assert read_batch(raw, LIMITS) == [
        Trigger("first", ["a"], "1", None, frozenset()),
        Trigger("second", ["b"], "2", "1.2", frozenset({"user_count"})),
    ]


@pytest.mark.parametrize(("count", "accepted"), [(1, True), (10, True), (11, False), (1000, False)])
def test_a_batch_has_up_to_ten_events(count: int, accepted: bool) -> None:
    raw = batch(*[EVENT] * count)

    if accepted:
        assert len(read_batch(raw, LIMITS)) == count
    else:
        assert batch_refusal(raw) == (400, f"the batch has {count} events, 10 are allowed")


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"batch":[]}', b'{"batch":{}}', b'{"batch":null}', b'{"batch":"[]"}']
)
def test_a_batch_needs_events(raw: bytes) -> None:
    assert batch_refusal(raw) == (400, "batch must be a list of events")


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{"])
def test_a_batch_that_is_no_json_is_refused(raw: bytes) -> None:
    assert batch_refusal(raw)[0] == 400


@pytest.mark.parametrize("raw", [b"[]", b"null", b'[{"channel":"a"}]'])
def test_a_batch_that_is_no_object_is_refused(raw: bytes) -> None:
    assert batch_refusal(raw)[0] == 400


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (None, 400),
        ([], 400),
        ({}, 400),
        ({**EVENT, "name": ""}, 400),
        ({**EVENT, "name": "pusher:error"}, 400),
        ({**EVENT, "channels": ["a", "b"]}, 400),
        ({**EVENT, "channels": ["a b"]}, 400),
        ({**EVENT, "data": "x" * 10_241}, 413),
        ({**EVENT, "socket_id": "x"}, 400),
        ({**EVENT, "info": "x"}, 400),
    ],
)
def test_one_bad_event_refuses_the_whole_batch(bad: object, status: int) -> None:
    assert batch_refusal(batch(EVENT, bad))[0] == status


def test_the_limits_are_those_of_the_application() -> None:
    limits = Limits(data_size=1, event_name=1, channels_per_event=1, events_per_batch=1)

    for raw in (body(data="12"), body(name="ee"), body(channels=["a", "b"])):
        with pytest.raises(ApiError):
            read_trigger(raw, limits)
    with pytest.raises(ApiError):
        read_batch(batch(EVENT, EVENT), limits)
