from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.encoding import encode
from broadcaster.protocol import frames
from broadcaster.protocol.codes import Code


def test_the_first_frame_holds_the_socket_id_and_the_timeout_in_a_string() -> None:
    frame = frames.connection_established("123456789.987654321", 120)

    assert frame == (
        '{"event":"pusher:connection_established",'
        '"data":"{\\"socket_id\\":\\"123456789.987654321\\",\\"activity_timeout\\":120}"}'
    )


def test_a_pong_has_string_data() -> None:
    assert frames.pong == '{"event":"pusher:pong","data":"{}"}'


def test_the_data_of_an_error_is_an_object() -> None:
    assert frames.error(Code.UNKNOWN_APP, "no app") == (
        '{"event":"pusher:error","data":{"code":4001,"message":"no app"}}'
    )


def test_an_error_may_name_its_channel() -> None:
    frame = json.loads(frames.error(4301, "too fast", "private-a"))

    assert frame == {
        "event": "pusher:error",
        "data": {"code": 4301, "message": "too fast"},
        "channel": "private-a",
    }


def test_the_data_of_an_event_goes_out_as_it_came_in() -> None:
    frame = frames.event("my-event", "my-channel", '{"message":"hello"}')

    assert frame == '{"event":"my-event","channel":"my-channel","data":"{\\"message\\":\\"hello\\"}"}'


def test_spaces_escapes_and_a_half_number_in_the_data_survive() -> None:
    data = '{ "a" : 1.10, "home":"a\\/b", "name":"Zo\\u00eb", "big": 1e400 } trailing'

    frame = json.loads(frames.event("e", "c", data))

    assert frame["data"] == data


def test_the_word_nan_in_the_data_is_only_text() -> None:
    assert json.loads(frames.event("e", "c", "NaN and Infinity"))["data"] == "NaN and Infinity"


def test_a_client_event_outside_of_presence_names_nobody() -> None:
    frame = frames.client_event("client-typing", "private-chat.1", '{"name":"Ann"}', None)

    assert frame == '{"event":"client-typing","channel":"private-chat.1","data":"{\\"name\\":\\"Ann\\"}"}'


def test_a_client_event_on_a_presence_channel_names_the_sender() -> None:
    frame = frames.client_event("client-typing", "presence-chat.1", '{"name":"Ann"}', "10")

    assert frame == (
        '{"event":"client-typing","channel":"presence-chat.1","data":"{\\"name\\":\\"Ann\\"}","user_id":"10"}'
    )


def test_the_acknowledgement_of_a_subscription_has_data() -> None:
    assert frames.subscribed("orders") == (
        '{"event":"pusher_internal:subscription_succeeded","channel":"orders","data":"{}"}'
    )


def test_the_acknowledgement_on_a_presence_channel_has_ids_hash_and_count() -> None:
    frame = frames.subscribed_to_presence("presence-foobar", {"10": {"name": "Ann"}, "11": {"name": "Bob"}})

    assert frame == (
        '{"event":"pusher_internal:subscription_succeeded","channel":"presence-foobar","data":'
        '"{\\"presence\\":{\\"count\\":2,\\"ids\\":[\\"10\\",\\"11\\"],'
        '\\"hash\\":{\\"10\\":{\\"name\\":\\"Ann\\"},\\"11\\":{\\"name\\":\\"Bob\\"}}}}"}'
    )


def test_an_empty_hash_is_an_object() -> None:
    frame = json.loads(frames.subscribed_to_presence("presence-a", {}))

    assert frame["data"] == '{"presence":{"count":0,"ids":[],"hash":{}}}'


def test_a_refused_subscription_tells_its_channel_in_string_data() -> None:
    frame = frames.subscription_error("private-foobar", "AuthError", "The connection is unauthorized.", 401)

    assert frame == (
        '{"event":"pusher:subscription_error","channel":"private-foobar","data":'
        '"{\\"type\\":\\"AuthError\\",\\"error\\":\\"The connection is unauthorized.\\",\\"status\\":401}"}'
    )


def test_a_member_is_added_with_its_info() -> None:
    assert frames.member_added("presence-foobar", "11", {"name": "Bob"}) == (
        '{"event":"pusher_internal:member_added","channel":"presence-foobar",'
        '"data":"{\\"user_id\\":\\"11\\",\\"user_info\\":{\\"name\\":\\"Bob\\"}}"}'
    )


def test_a_member_is_removed_by_its_id() -> None:
    assert frames.member_removed("presence-foobar", "11") == (
        '{"event":"pusher_internal:member_removed","channel":"presence-foobar","data":"{\\"user_id\\":\\"11\\"}"}'
    )


def test_a_sign_in_is_answered_with_the_text_that_was_signed() -> None:
    assert frames.signed_in('{"id":"12345"}') == (
        '{"event":"pusher:signin_success","data":"{\\"user_data\\":\\"{\\\\\\"id\\\\\\":\\\\\\"12345\\\\\\"}\\"}"}'
    )


@given(st.text(), st.text(), st.text(), st.none() | st.text())
def test_an_event_is_written_as_an_encoder_would(
    name: str, channel: str, data: str, more: str | None
) -> None:
    frame = {"event": name, "channel": channel, "data": data}

    assert frames.event(name, channel, data, more) == encode(frame | ({} if more is None else {"id": more}))
    assert frames.client_event(name, channel, data, more) == encode(
        frame | ({} if more is None else {"user_id": more})
    )
