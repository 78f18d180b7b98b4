"""What many connections stand on: memory of the process, the kernel and Redis; and CPU to stay alive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import redis.asyncio as aredis

from benchmarks.app import CHANNEL
from benchmarks.dialects import pusher_frame
from benchmarks.load import Clients
from benchmarks.machine import raise_file_limit, two_cores
from benchmarks.report import Cell, Table
from benchmarks.servers import OURS, SERVERS, redis_server
from benchmarks.usage import usage_of
from broadcaster.cluster.redis_bus import RedisBus
from broadcaster.cluster.redis_roster import RedisRoster
from broadcaster.cluster.roster import place_in
from broadcaster.protocol.elsewhere import Change

__all__ = ["run"]

_Undo: TypeAlias = Callable[[], Awaitable[None]]

_POOLS = ("TCP ", "eventpoll_", "filp ", "sock_inode_cache ")
_WARM_UP = 100
_ROOM = 100
_SECONDS = 60.0


def run(*, quick: bool) -> list[Table]:
    """Measure for some thousands what a million would need."""
    raise_file_limit()
    count = 1_000 if quick else 10_000
    rows = [*_connections(count), *asyncio.run(_in_redis(count))]
    return [Table(f"scale: what each of {count:,} takes", ("what", "figure", "unit"), rows)]


def _connections(count: int) -> list[list[Cell]]:
    with two_cores() as core, SERVERS[OURS](core) as server, Clients() as clients:
        clients.open(server.port, _WARM_UP, server.script(CHANNEL))
        before, kernel = usage_of(server.pids), _kernel()
        clients.open(server.port, count, server.script(CHANNEL))
        after = usage_of(server.pids)
        # Both ends of every connection are on this machine.
        in_kernel = (_kernel() - kernel) / 2
        pings = clients.count
        clients.join([pusher_frame("pusher:ping", {})], b"pusher:pong")
        pinged = usage_of(server.pids)
    return [
        ["an idle connection on one channel, in the process", (after - before).memory / count, "bytes"],
        ["an idle connection, in the kernel", in_kernel / count if in_kernel else "-", "bytes"],
        ["a ping that is answered", (pinged - after).cpu / pings * 1e6, "CPU us"],
    ]


async def _in_redis(count: int) -> list[list[Cell]]:
    heard, heard_cpu = await _cost(_hear, count)
    told = [(await _cost(partial(_tell, nodes=nodes), count))[1] for nodes in (0, 8)]
    occupied, occupied_cpu = await _cost(_occupy, count)
    present, present_cpu = await _cost(_be_present, count)
    return [
        ["a channel that a node hears, in Redis", heard, "bytes"],
        ["a channel that a node begins to hear, in Redis", heard_cpu, "CPU us"],
        ["a message of 200 bytes, in Redis", told[0], "CPU us"],
        ["a node that hears it, in Redis", (told[1] - told[0]) / 8, "CPU us"],
        ["a channel that somebody is on, in Redis", occupied, "bytes"],
        ["a channel that somebody joins, in Redis", occupied_cpu, "CPU us"],
        [f"a member of a presence channel of {_ROOM}, in Redis", present, "bytes"],
        ["a member who comes, in Redis", present_cpu, "CPU us"],
    ]


async def _cost(do: Callable[[str, int], Awaitable[_Undo]], count: int) -> tuple[float, float]:
    """Return the bytes and the microseconds of CPU that a new Redis needs for each of *count*."""
    with redis_server() as port:
        client: Any = aredis.Redis(port=port)
        try:
            before = await client.info()
            undo = await do(f"redis://127.0.0.1:{port}", count)
            after = await client.info()
            await undo()
        finally:
            await client.aclose()
    cpu = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    return (after["used_memory"] - before["used_memory"]) / count, cpu / count * 1e6


async def _hear(url: str, count: int) -> _Undo:
    bus = RedisBus(url)
    bus.open(lambda topic, payload: None, lambda: None)
    ready = asyncio.Semaphore(0)
    for number in range(count):
        bus.subscribe(f"orders.{number}", ready.release)
    async with asyncio.timeout(_SECONDS):
        for _ in range(count):
            await ready.acquire()
    return lambda: bus.aclose(1.0)


async def _tell(url: str, count: int, *, nodes: int) -> _Undo:
    """Publish as a node does, and have *nodes* hear it."""
    one, others = RedisBus(url), [RedisBus(url) for _ in range(nodes)]
    heard = asyncio.Semaphore(0)
    for bus in (one, *others):
        bus.open(lambda topic, payload: heard.release(), lambda: None)
    ready = asyncio.Semaphore(0)
    for bus in others:
        bus.subscribe("orders", ready.release)
    async with asyncio.timeout(_SECONDS):
        for _ in others:
            await ready.acquire()
        while not one.is_connected:  # noqa: ASYNC110 - a bus has no event for it
            await asyncio.sleep(0.01)
        for _ in range(count):
            one.publish("orders", bytes(200))
        await one.aclose(_SECONDS)
        for _ in range(count * nodes):
            await heard.acquire()

    async def undo() -> None:
        await asyncio.gather(*(bus.aclose(1.0) for bus in others))

    return undo


async def _occupy(url: str, count: int) -> _Undo:
    return await _report(url, [(f"orders.{number}", Change(1)) for number in range(count)])


async def _be_present(url: str, count: int) -> _Undo:
    changes: list[tuple[str, Change]] = []
    for number in range(count):
        room, member = divmod(number, _ROOM)
        came = {f"user-{number}": {"name": f"User {number}"}}
        changes.append((f"presence-{room}", Change(member + 1, came)))
    return await _report(url, changes)


async def _report(url: str, changes: list[tuple[str, Change]]) -> _Undo:
    roster = RedisRoster(url)
    roster.open(lambda *_: None, lambda *_: None, lambda *_: None)
    for channel, change in changes:
        roster.report(place_in("1", channel), change, tell=True)
    # A question is answered once everything before it was told.
    await roster.count([place_in("1", changes[0][0])])
    return lambda: roster.aclose(1.0)


def _kernel() -> int:
    """Return the bytes that the kernel has in what a socket is made of; only root may know."""
    try:
        lines = Path("/proc/slabinfo").read_text("ascii").splitlines()
    except PermissionError:
        return 0
    pools = [line.split() for line in lines if line.startswith(_POOLS)]
    return sum(int(used) * int(size) for _, used, _, size, *_ in pools)
