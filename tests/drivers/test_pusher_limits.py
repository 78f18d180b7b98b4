from __future__ import annotations

import pytest

from broadcaster import DeliveryError, Message
from broadcaster.drivers.pusher_limits import check_data, check_names


@pytest.mark.parametrize("name", ["a", "x" * 200, "☃" * 200, "pusher-notice", "Pusher:x", "App\\Events\\X"])
@pytest.mark.parametrize("channels", [(), ("a",), ("x" * 200, "presence-a=@,.;_-"), ("#server-to-user-é /",)])
def test_names_that_servers_take_pass(name: str, channels: tuple[str, ...]) -> None:
    message = Message(name, channels, "{}")

    check_names(message, driver="test")


@pytest.mark.parametrize(
    ("name", "channel", "said"),
    [
        ("", "a", "an event needs a name"),
        ("é" * 201, "a", f"the event name '{'é' * 200}'... has 201 characters, 200 are allowed"),
        ("pusher:x", "a", "the event name 'pusher:x' has a prefix that is reserved for the protocol"),
        ("pusher_internal:x", "a", "has a prefix that is reserved for the protocol"),
        ("e", "a/b", "invalid channel name 'a/b': '/' at position 1"),
        ("e", "", "invalid channel name '': it is empty"),
        ("e", "x" * 201, "it has 201 characters, 200 are allowed"),
        ("e", "#server-to-user-", "a printable user id must follow"),
    ],
)
def test_names_that_no_server_takes_are_refused_as_a_server_would(name: str, channel: str, said: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        check_names(Message(name, ("fine", channel), "{}"), driver="test")

    assert said in str(caught.value)
    assert (caught.value.driver, caught.value.status, caught.value.retryable) == ("test", 400, False)


@pytest.mark.parametrize("data", ["", "12345678", "éééé", "☃☃é", "😀😀"])
def test_data_is_counted_in_bytes(data: str) -> None:
    check_data(data, what="it", limit=8, driver="test")

    with pytest.raises(DeliveryError) as caught:
        check_data(data + " " * 8, what="it", limit=7, driver="test")

    assert f"it has {len(data.encode()) + 8} bytes, 7 are allowed: send less" in str(caught.value)
    assert (caught.value.driver, caught.value.status, caught.value.retryable) == ("test", 413, False)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(DeliveryError, match="a lone surrogate") as caught:
        check_data('"\ud800"', what="it", limit=100, driver="test")

    assert caught.value.status == 400
