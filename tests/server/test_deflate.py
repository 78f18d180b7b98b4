import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.server.deflate import MalformedOffer, Swollen, agreement, deflate, inflate

ALONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "agreed"),
    [
        ("permessage-deflate", ALONE),
        ("permessage-deflate; client_max_window_bits", ALONE),
        ("permessage-deflate; client_max_window_bits=10", f"{ALONE}; client_max_window_bits=10"),
        ('permessage-deflate;server_max_window_bits="15"', f"{ALONE}; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", ALONE),
        (",, x-other ; a = b, permessage-deflate ,", ALONE),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", ALONE),
        ("permessage-deflate; server_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; nonsense", None),
        ("permessage-bzip2", None),
    ],
)
def test_an_offer_is_taken_when_one_frame_stays_good_for_everybody(offers: str, agreed: str | None) -> None:
    assert agreement(offers) == agreed


@pytest.mark.parametrize(
    "offers",
    ["a;", ";", ",", "a b", "a; b=", "permessage-deflate; client_max_window_bits=", 'a; b="c d"', "a=b", "ü"],
)
def test_an_offer_that_cannot_be_read_is_told_so(offers: str) -> None:
    with pytest.raises(MalformedOffer, match="Sec-WebSocket-Extensions cannot be read"):
        agreement(offers)


def test_an_offer_of_endless_length_is_declined_unread() -> None:
    assert agreement("permessage-deflate, " * 100 + ";") is None


@given(st.binary(max_size=2_000))
def test_a_message_may_have_as_many_bytes_as_it_is_allowed_and_not_one_more(data: bytes) -> None:
    assert inflate(deflate(data), most=len(data)) == data
    if data:
        with pytest.raises(Swollen):
            inflate(deflate(data), most=len(data) - 1)


def test_nonsense_is_no_message() -> None:
    with pytest.raises(zlib.error):
        inflate(b"\xff\xff\xff", most=100)
