from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import InvalidChannelName
from broadcaster.drivers.ably_names import ably_name, connection_of, resource_of

LEGAL = st.text("-aZ0_=@,.;", min_size=1, max_size=20)


def socket_id(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("adapter", [True, False])
@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("test", "public:test"),
        ("private-test", "private:test"),
        ("presence-test", "presence:test"),
        ("private-encrypted-test", "private:encrypted-test"),
        ("Private-test", "public:Private-test"),
    ],
)
def test_channels_have_the_names_that_laravel_gives_them(channel: str, name: str, adapter: bool) -> None:
    assert ably_name(channel, adapter=adapter) == name


@given(LEGAL, LEGAL, st.booleans())
def test_two_channels_never_have_one_name(one: str, other: str, adapter: bool) -> None:
    assert (ably_name(one, adapter=adapter) == ably_name(other, adapter=adapter)) == (one == other)


@pytest.mark.parametrize(
    ("resource", "adapter", "name"),
    [
        ("private-a;b", True, "private:a:b"),
        ("private-a;b", False, "private:a;b"),
        ("public:*", True, "public:*"),
        ("*", False, "*"),
        ("[meta]*", False, "[meta]*"),
        ("private:a;b", True, "private:a;b"),
    ],
)
def test_what_only_ably_would_call_so_stands_as_it_is(resource: str, adapter: bool, name: str) -> None:
    assert resource_of(resource, adapter=adapter) == name


@pytest.mark.parametrize("name", ["", "a b", "#server-to-user-7"])
def test_what_is_no_channel_at_ably_has_no_name(name: str) -> None:
    with pytest.raises(InvalidChannelName):
        ably_name(name, adapter=True)


@pytest.mark.parametrize("adapter", [True, False])
@pytest.mark.parametrize("nobody", [None, ""])
def test_nobody_is_left_out(nobody: str | None, adapter: bool) -> None:
    assert connection_of(nobody, adapter=adapter) == {}


def test_clients_of_the_adapter_send_the_key_of_their_connection() -> None:
    assert connection_of("12.34", adapter=True) == {"connectionKey": "12.34"}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("eyJjb25uZWN0aW9uS2V5IjoiQ0siLCJjbGllbnRJZCI6IjQyIn0", {"connectionKey": "CK", "clientId": "42"}),
        (socket_id('{"connectionKey":"CK"}'), {"connectionKey": "CK"}),
        (socket_id('{"connectionKey":"CK","clientId":null}'), {"connectionKey": "CK"}),
        (
            socket_id('{"clientId":"ü ☃ ÿ>?","connectionKey":"CK","more":1}'),
            {"connectionKey": "CK", "clientId": "ü ☃ ÿ>?"},
        ),
        ("eyJjb25uZWN0aW9uS2V5IjoiQ0sifQ==", {"connectionKey": "CK"}),
    ],
)
def test_native_clients_send_their_connection_and_who_they_are(text: str, fields: dict[str, str]) -> None:
    assert connection_of(text, adapter=False) == fields


@pytest.mark.parametrize(
    "text",
    [
        "12.34",
        "a",
        "☃",
        "!!!!",
        socket_id("[" * 100_000),
        *map(
            socket_id,
            [
                "null",
                "[]",
                '"CK"',
                "{}",
                '{"clientId":"42"}',
                '{"connectionKey":""}',
                '{"connectionKey":7}',
                '{"connectionKey":"CK","clientId":42}',
                '{"connectionKey":"CK","clientId":""}',
            ],
        ),
        urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_what_no_native_client_sends_leaves_nobody_out(text: str) -> None:
    assert connection_of(text, adapter=False) == {}


@given(st.text())
def test_nothing_that_a_browser_sends_raises(text: str) -> None:
    assert connection_of(text, adapter=False).keys() <= {"connectionKey", "clientId"}
