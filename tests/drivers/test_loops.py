from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from broadcaster.drivers._loops import PerLoop


class Shop:
    """Opens things, and notes which are closed."""

    def __init__(self) -> None:
        self.opened: list[object] = []
        self.closed: list[object] = []
        self.things = PerLoop(self._open)

    async def _open(self) -> AsyncGenerator[object]:
        thing = object()
        self.opened.append(thing)
        try:
            yield thing
        finally:
            self.closed.append(thing)


def test_a_loop_has_one_of_its_own_until_it_ends() -> None:
    shop = Shop()

    async def life() -> set[object]:
        return set(await asyncio.gather(*(shop.things.value() for _ in range(5))))

    first, second = asyncio.run(life()), asyncio.run(life())

    assert len(first) == len(second) == 1
    assert first != second
    assert shop.closed == shop.opened


def test_what_is_closed_is_opened_anew() -> None:
    shop = Shop()

    async def life() -> None:
        await shop.things.aclose()
        first = await shop.things.value()
        await shop.things.aclose()
        assert shop.closed == [first]
        assert await shop.things.value() is not first

    asyncio.run(life())

    assert shop.closed == shop.opened


def test_what_the_loop_closed_is_opened_anew_when_it_goes_on() -> None:
    shop = Shop()

    with asyncio.Runner() as runner:
        first = runner.run(shop.things.value())
        runner.run(runner.get_loop().shutdown_asyncgens())
        assert shop.closed == [first]
        with pytest.warns(ResourceWarning, match="was scheduled after"):
            second = runner.run(shop.things.value())

    assert second is not first
    assert shop.closed == [first, second]


def test_loops_that_ended_are_forgotten() -> None:
    shop = Shop()

    for _ in range(5):
        asyncio.run(shop.things.value())

    assert len(shop.things._held) == 1
