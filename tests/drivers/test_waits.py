"""Code that serves both worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broadcaster.drivers._waits import Waits, blocking, on_loop


def double(call: Callable[[int], Any], number: int) -> Waits[int]:
    result: int = yield call(number)
    return 2 * result


def guarded(call: Callable[[int], Any], log: list[str]) -> Waits[str]:
    try:
        yield call(0)
    except ZeroDivisionError:
        log.append("caught")
        return str((yield from double(call, 5)))
    finally:
        log.append(f"last {yield call(2)}")
    return "unreached"


def at_once(number: int) -> int:
    return 10 // number


async def later(number: int) -> int:
    await asyncio.sleep(0)
    return 10 // number


async def test_the_result_is_the_same_in_both_worlds() -> None:
    assert blocking(double(at_once, 5)) == await on_loop(double(later, 5)) == 4


async def test_an_error_is_raised_where_it_was_waited_for() -> None:
    blocked: list[str] = []
    awaited: list[str] = []

    assert blocking(guarded(at_once, blocked)) == await on_loop(guarded(later, awaited)) == "4"
    assert blocked == awaited == ["caught", "last 5"]


async def test_an_error_that_nobody_catches_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        blocking(double(at_once, 0))
    with pytest.raises(ZeroDivisionError):
        await on_loop(double(later, 0))


async def test_who_is_cancelled_may_tidy_up() -> None:
    tidied: list[str] = []

    async def for_ever(number: int) -> int:
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await later(number) if number else await never

    task = asyncio.create_task(on_loop(guarded(for_ever, tidied)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert tidied == ["last 5"]


async def test_who_is_cancelled_ends_although_what_it_waited_for_did_not_hear_of_it() -> None:
    tidied: list[str] = []

    async def deaf(number: int) -> int:
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if number:
            return await later(number)
        try:
            return await never
        except asyncio.CancelledError:
            return 10

    task = asyncio.create_task(on_loop(guarded(deaf, tidied)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert tidied == ["last 5"]
