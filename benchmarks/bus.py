"""What it costs that nodes hear each other through Redis: latency, CPU, and messages that nobody needed."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio as aredis

from benchmarks.report import Table
from benchmarks.servers import redis_server
from broadcaster import Message
from broadcaster.client import Client, Incoming, Listener
from broadcaster.drivers.pusher import PusherDriver

__all__ = ["run"]

_SECONDS = 30.0


def run(*, quick: bool) -> list[Table]:
    """Send events to one node, and see when a client of each node has them."""
    times = 300 if quick else 2_000
    rows: list[tuple[str, float, float, str, int, str]] = []
    alone = 0.0
    with redis_server() as port:
        for count in (0, 1, 2, 4):
            found = asyncio.run(_measure(count, port, times))
            alone = alone or found.median
            name = f"{count} on the bus" if count else "1, without a bus"
            ratio = f"{found.median / alone:.2f}"
            rows.append((name, found.median, found.p99, ratio, int(found.cpu), found.unneeded))
    return [
        Table(
            f"bus: {times:,} events posted to one node, until it is heard on all",
            ("nodes", "median ms", "p99 ms", "median to none", "CPU us, all nodes", "heard in vain"),
            rows,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one set of nodes did; *unneeded* are messages of others that reached who had no use for them."""

    median: float
    p99: float
    cpu: float
    unneeded: str


async def _measure(count: int, redis_port: int, times: int) -> _Found:
    async with AsyncExitStack() as stack:
        nodes = [stack.enter_context(_node(redis_port if count else None)) for _ in range(max(count, 1))]
        driver = PusherDriver(
            app_id="1",
            key="app-key",
            secret="app-secret",
            host="127.0.0.1",
            port=nodes[0].port,
            scheme="http",
        )
        stack.push_async_callback(driver.aclose)
        listeners = [await _listener(stack, node) for node in nodes]
        await _heard_after(driver, listeners)
        before = sum(node.cpu for node in nodes)
        delays = [await _heard_after(driver, listeners) for _ in range(times)]
        cpu = sum(node.cpu for node in nodes) - before
        unneeded = await _unneeded(driver, redis_port, count, times)
    cuts = statistics.quantiles(delays, n=100)
    return _Found(cuts[49] * 1e3, cuts[98] * 1e3, cpu / times * 1e6, unneeded)


async def _heard_after(driver: PusherDriver, listeners: list[Listener[Incoming]]) -> float:
    """Send one event; return how many seconds it took until every node's client had it."""
    start = time.perf_counter()
    async with asyncio.timeout(_SECONDS):
        await driver.adeliver(Message("e", ("feed",), "{}"))
        await asyncio.gather(*(anext(listener) for listener in listeners))
    return time.perf_counter() - start


async def _unneeded(driver: PusherDriver, redis_port: int, count: int, times: int) -> str:
    """Send events that nobody hears anywhere; count what Redis handed to the nodes."""
    if not count:
        return "-"
    client: Any = aredis.Redis(port=redis_port)
    try:
        asked = await client.pubsub_numsub("elsewhere")
        before = await client.info("stats")
        for _ in range(times // 10):
            await driver.adeliver(Message("e", ("elsewhere",), "x" * 1_000))
        after = await client.info("stats")
    finally:
        await client.aclose()
    sent = after["total_net_output_bytes"] - before["total_net_output_bytes"]
    # A message of 1,000 bytes cannot hide in the answers to PUBLISH, to PING and to us.
    return str(asked[0][1] + sent // (1_000 * (times // 10)))


async def _listener(stack: AsyncExitStack, node: _Node) -> Listener[Incoming]:
    client = await stack.enter_async_context(Client(f"ws://127.0.0.1:{node.port}", "app-key"))
    channel = client.channel("feed")
    await channel.subscribed(_SECONDS)
    return channel.listen()


@dataclass(frozen=True, slots=True)
class _Node:
    """A `broadcaster serve`."""

    port: int
    pid: int

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        words = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _node(redis_port: int | None) -> Iterator[_Node]:
    command = [sys.executable, "-m", "broadcaster", "serve", "--dev", "--port=0"]
    command += [] if redis_port is None else [f"--redis=redis://127.0.0.1:{redis_port}"]
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        assert found is not None, line
        yield _Node(int(found[1]), process.pid)
