"""The application's functions, called from code that waits and from code that does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest

from broadcaster.rules.calls import Call, Steps, arun, run


def double(number: int) -> int:
    return 2 * number


async def adouble(number: int) -> int:
    return 2 * number


class Doubling:
    async def __call__(self, number: int) -> int:
        return 2 * number


def later(number: int) -> Awaitable[int]:
    return adouble(number)


def two_calls(function: Any) -> Steps[int]:
    first = yield Call("double()", function, (1,), {})
    second = yield Call("double()", function, (), {"number": first})
    return int(second)


def test_results_come_back_to_the_steps() -> None:
    assert run(two_calls(double)) == 4


@pytest.mark.parametrize("function", [double, adouble, Doubling(), partial(adouble), later])
async def test_a_coroutine_calls_functions_of_both_worlds(function: Any) -> None:
    assert await arun(two_calls(function)) == 4


@pytest.mark.parametrize("function", [adouble, Doubling(), partial(adouble), later])
def test_code_that_cannot_wait_says_what_would_help(function: Any) -> None:
    with pytest.raises(
        TypeError, match=r"double\(\) is async: use aauthorize\(\), or make it a plain function"
    ):
        run(two_calls(function))


async def test_a_plain_function_runs_in_a_thread_so_that_it_may_block() -> None:
    main = threading.get_ident()

    def where() -> int:
        return threading.get_ident()

    def steps() -> Steps[int]:
        return int((yield Call("where()", where, (), {})))

    assert await arun(steps()) != main


async def test_a_framework_may_bring_its_own_threads() -> None:
    asked: list[object] = []

    def to_thread(function: Any, /, *arguments: object, **named: object) -> Awaitable[Any]:
        asked.append(function)
        return asyncio.to_thread(function, *arguments, **named)

    assert await arun(two_calls(double), to_thread=to_thread) == 4
    assert asked == [double, double]


async def test_what_a_function_raises_reaches_the_caller() -> None:
    def broken() -> None:
        raise LookupError("the database is away")

    def steps() -> Steps[None]:
        yield Call("broken()", broken, (), {})

    with pytest.raises(LookupError, match="the database is away"):
        run(steps())
    with pytest.raises(LookupError, match="the database is away"):
        await arun(steps())
