from __future__ import annotations

import pytest

from broadcaster.protocol.positions import NOWHERE, Positions, is_id


@pytest.mark.parametrize("text", [NOWHERE, "1-0", "1700000000000-12"])
def test_an_id_has_two_numbers(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "a-1", "1-1-1", "1-1\n", "+", "٣-٣", "1-" + "9" * 16])
def test_what_redis_would_refuse_is_none(text: str) -> None:
    assert not is_id(text)


def test_a_channel_that_has_not_begun_is_nowhere_and_stays_there() -> None:
    positions = Positions()

    positions.advance("a", "2-0")

    assert positions.at("a") == NOWHERE


def test_a_channel_that_has_begun_goes_on_until_it_is_dropped() -> None:
    positions = Positions()
    positions.begin("a", "1-0")

    positions.advance("a", "2-0")
    assert positions.at("a") == "2-0"

    positions.drop("a")
    positions.drop("a")
    assert positions.at("a") == NOWHERE
