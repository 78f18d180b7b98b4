"""What requests ask, read from forms, JSON and query strings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.auth_requests import MAX_BODY_SIZE, AuthRequest, BadAuthRequest, Question

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "request_",
    [
        AuthRequest(content_type=FORM, body=b"socket_id=1.2&channel_name=private-a"),
        AuthRequest(
            content_type=f"{FORM}; charset=UTF-8", body=b"socket_id=1.2&channel_name=private-a&x=1&x=2"
        ),
        AuthRequest(body=b"socket_id=1.2&channel_name=private-a"),
        AuthRequest(
            content_type="application/json", body=b'{"socket_id":"1.2","channel_name":"private-a","x":[1]}'
        ),
        AuthRequest(
            content_type="application/vnd.a+json", body=b'{"socket_id":"1.2","channel_name":"private-a"}'
        ),
        AuthRequest(query="socket_id=1.2&channel_name=private-a"),
        AuthRequest(query="socket_id=9.9&app=1", body=b"socket_id=1.2&channel_name=private-a"),
        AuthRequest(
            query="channel_name=private-a", content_type="application/json", body=b'{"socket_id":"1.2"}'
        ),
    ],
)
def test_one_channel(request_: AuthRequest) -> None:
    assert Question.of(request_) == Question("1.2", ("private-a",), several=False)


@pytest.mark.parametrize(
    "request_",
    [
        AuthRequest(body=b"socket_id=1.2&channel_name[0]=private-a&channel_name[1]=b"),
        AuthRequest(body=b"socket_id=1.2&channel_name%5B%5D=private-a&channel_name%5B%5D=b"),
        AuthRequest(query="channel_name[]=private-a&channel_name[]=b&socket_id=1.2"),
        AuthRequest(body=b"socket_id=1.2&channel_name[]=private-a&channel_name[]=b&channel_name[]=b"),
        AuthRequest(
            content_type="application/json", body=b'{"socket_id":"1.2","channel_name":["private-a","b"]}'
        ),
    ],
)
def test_several_channels(request_: AuthRequest) -> None:
    assert Question.of(request_) == Question("1.2", ("private-a", "b"), several=True)


def test_laravel_echo_server_tells_no_socket_id() -> None:
    question = Question.of(AuthRequest(body=b"channel_name=private-a"))

    assert question == Question("", ("private-a",), several=False)


def test_a_request_to_sign_in_names_no_channel() -> None:
    assert Question.of(AuthRequest(body=b"socket_id=1.2")) == Question("1.2", (), several=False)


@pytest.mark.parametrize(
    ("request_", "why", "status"),
    [
        (AuthRequest(body=b"socket_id=1.2&socket_id=3.4"), "socket_id is there more than once", 400),
        (
            AuthRequest(body=b"socket_id=1.2&channel_name=a&channel_name=b"),
            "several are called channel_name",
            400,
        ),
        (AuthRequest(body=b"socket_id=1.2&channel_name=a&channel_name[]=b"), "several are called", 400),
        (AuthRequest(body=b"socket_id=1.2" + b"&channel_name[]=b" * 101), "more than 100 channels", 400),
        (AuthRequest(body=b"a=1&" * 300), "more than 200 fields", 400),
        (AuthRequest(body=b"\xff"), "the body is not UTF-8", 400),
        (AuthRequest(body=b"socket_id=%ff"), "a field is not UTF-8", 400),
        (AuthRequest(content_type="application/json", body=b"{"), "the body is not JSON", 400),
        (AuthRequest(content_type="application/json", body=b"[" * 9_000), "the body is not JSON", 400),
        (AuthRequest(content_type="application/json", body=b"[]"), "the body is not a JSON object", 400),
        (
            AuthRequest(content_type="application/json", body=b'{"socket_id":7}'),
            "socket_id is not a string",
            400,
        ),
        (
            AuthRequest(content_type="application/json", body=b'{"socket_id":"1.2","channel_name":[]}'),
            "channel_name is not a string",
            400,
        ),
        (
            AuthRequest(content_type="multipart/form-data; boundary=x", body=b"--x"),
            "must be a form or JSON",
            415,
        ),
        (AuthRequest(body=b"x" * (MAX_BODY_SIZE + 1)), "more than 65536 bytes", 413),
    ],
)
def test_what_cannot_be_answered_is_told(request_: AuthRequest, why: str, status: int) -> None:
    with pytest.raises(BadAuthRequest, match=why) as caught:
        Question.of(request_)

    assert caught.value.status == status


@settings(max_examples=500)
@given(
    st.text(max_size=100),
    st.sampled_from(["", FORM, "application/json", "text/plain"]),
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.lists(
            st.sampled_from(["socket_id", "channel_name", "[", "]", "=", "&", "{", "}", '"', ":", ",", "1.2"])
        )
        .map("".join)
        .map(str.encode),
    ),
)
def test_any_request_is_read_or_told(query: str, content_type: str, body: bytes) -> None:
    try:
        question = Question.of(AuthRequest(query, content_type, body))
    except BadAuthRequest as error:
        assert error.status in {400, 413, 415}  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(question.socket_id, str)
