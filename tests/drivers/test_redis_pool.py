"""How many connections there may be, and those that wait for work."""

from __future__ import annotations

import asyncio
import time

from broadcaster.drivers._redis_pool import MOST_CONNECTIONS, LoopRoom, Pool, ThreadRoom


def test_the_connection_that_was_used_last_is_taken_first() -> None:
    pool = Pool(None)

    for connection in "abc":
        pool.put(connection)

    assert [pool.take() for _ in range(4)] == ["c", "b", "a", None]


def test_connections_that_nobody_used_for_long_are_let_go() -> None:
    pool = Pool(None)
    pool.put("old")
    between = time.monotonic()
    pool.put("new")

    assert list(pool.idle_since(between - 1)) == []
    assert list(pool.idle_since(between)) == ["old"]
    assert pool.take() == "new"


def test_a_pool_knows_when_it_was_used_though_it_is_empty() -> None:
    pool = Pool(None)
    made = pool.used

    pool.take()

    assert pool.used > made


def test_threads_get_room_for_so_many() -> None:
    room = ThreadRoom()

    got = [room.acquire(timeout=0.0) for _ in range(MOST_CONNECTIONS + 1)]
    room.release()

    assert got == [True] * MOST_CONNECTIONS + [False]
    assert room.acquire(timeout=0.0)


async def test_an_event_loop_gets_room_for_so_many() -> None:
    room = LoopRoom()

    got = [await room.acquire(timeout=0.0) for _ in range(MOST_CONNECTIONS + 1)]
    waiting = asyncio.create_task(room.acquire(timeout=10.0))
    await asyncio.sleep(0)
    room.release()

    assert got == [True] * MOST_CONNECTIONS + [False]
    assert await waiting


async def test_who_gives_up_waiting_takes_no_room() -> None:
    room = LoopRoom()
    for _ in range(MOST_CONNECTIONS):
        await room.acquire(timeout=0.0)

    waiting = asyncio.create_task(room.acquire(timeout=10.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    room.release()

    assert await room.acquire(timeout=0.0)
    assert not await room.acquire(timeout=0.0)
