from __future__ import annotations

import asyncio

import pytest

from broadcaster.client.errors import FellBehind
from broadcaster.client.listeners import Listener


def listener(waiting: int = 3) -> Listener[int]:
    return Listener("a", waiting=waiting, forget=lambda _: None)


async def test_what_comes_is_taken_in_order() -> None:
    numbers = listener()
    numbers.take(1)
    numbers.take(2)

    assert [await anext(numbers), await anext(numbers)] == [1, 2]


async def test_who_waits_is_woken() -> None:
    numbers = listener()
    waiting = asyncio.ensure_future(anext(numbers))
    await asyncio.sleep(0)

    numbers.take(7)

    assert await asyncio.wait_for(waiting, 5) == 7


async def test_who_falls_behind_gets_what_was_before_and_then_hears_of_it() -> None:
    numbers = listener(waiting=2)
    for number in range(4):
        numbers.take(number)

    assert [await anext(numbers), await anext(numbers)] == [0, 1]
    with pytest.raises(FellBehind, match="a listener on 'a' left 2 events waiting"):
        await anext(numbers)


async def test_one_that_ended_gives_what_is_left() -> None:
    async with listener() as numbers:
        numbers.take(1)
    numbers.take(2)

    assert [number async for number in numbers] == [1]
