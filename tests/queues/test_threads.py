from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from broadcaster.queues import _threads
from broadcaster.queues._threads import Threads
from tests.forks import in_a_child
from tests.waits import auntil, until

request: ContextVar[str] = ContextVar("request")


async def test_a_call_sees_the_context_of_its_caller() -> None:
    request.set("the-first")

    assert await Threads().run(request.get) == "the-first"


async def test_what_a_call_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await Threads().run(int, "x")


def test_event_loops_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_COUNT", 1)
    threads = Threads()

    used = {asyncio.run(threads.run(threading.current_thread)) for _ in range(3)}

    assert len(used) == 1


async def test_they_end_with_what_they_are_at_and_others_come() -> None:
    threads, begun, over = Threads(), threading.Event(), threading.Event()

    def work() -> threading.Thread:
        begun.set()
        assert over.wait(20)
        return threading.current_thread()

    at_work = asyncio.create_task(threads.run(work))
    await auntil(begun.is_set)
    threads.close()
    other = await threads.run(threading.current_thread)
    over.set()

    first = await at_work
    assert other is not first
    await auntil(lambda: not first.is_alive())
    assert other.is_alive()


def test_a_process_that_forks_off_has_its_own() -> None:
    threads = Threads()
    asyncio.run(threads.run(int))

    assert in_a_child(lambda: asyncio.run(threads.run(int))) == 0


def test_they_end_when_nothing_refers_to_them() -> None:
    used = asyncio.run(Threads().run(threading.current_thread))

    until(lambda: not used.is_alive())
