from __future__ import annotations

import pytest

from broadcaster._slots import owned_ranges, slot_of


@pytest.mark.parametrize(
    ("name", "slot"),
    # As a real server says, asked with CLUSTER KEYSLOT.
    [
        ("foo", 12182),
        ("presence-ü", 11089),
        ("{foo}bar", 12182),
        ("bar{foo}{x}", 12182),
        ("{}foo", 9500),
        ("{foo", 13308),
    ],
)
def test_a_name_is_in_the_slot_that_redis_says(name: str, slot: int) -> None:
    assert slot_of(name.encode()) == slot


def test_a_server_that_does_not_know_its_address_is_where_it_was_asked() -> None:
    told = [(0, 99, [b"n1", 7000, b"id"], [b"n2", 7000, b"id"]), (100, 16383, [b"", 7001, b"id"])]

    assert list(owned_ranges(told, asked="here")) == [
        (slice(0, 100), "n1", 7000),
        (slice(100, 16384), "here", 7001),
    ]
