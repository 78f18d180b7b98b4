"""One client among a thousand that stops reading: do the others wait for it, and what does it cost?

Run `python -m tests.soak.stalled`; it prints figures, and ends with 1 where the stalled one stays.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import time
from contextlib import AsyncExitStack

from websockets.frames import Frame, Opcode

from broadcaster.client import Client, Incoming, Listener
from broadcaster.signing import Credentials
from tests.server.clients import UPGRADE, call, raw
from tests.soak.served import ID, KEY, SECRET, Served, run

_CLIENTS = 1_000
_EVENTS = 60
_LARGE = json.dumps("x" * 9_000)
_GROWTH = 3_000
"""KB that may be there besides, when the stalled client has gone."""


async def stall(served: Served) -> list[str]:
    """Measure without the stalled client, then with it, then without it again."""
    problems: list[str] = []
    async with AsyncExitStack() as stack:
        listeners = [await _listener(stack, served) for _ in range(_CLIENTS)]
        before = served.memory
        await _round("without a stalled client", served, listeners)
        with raw(served.port) as stalled:
            await asyncio.to_thread(_subscribe, stalled)
            await _round("with one that reads nothing", served, listeners, flood=True)
            if "cut off" not in served.log:
                problems.append("the stalled client was not cut off")
        await _round("after it was cut off", served, listeners)
        after = served.memory
    print(f"memory: {before / 1024:.1f} MB before, {after / 1024:.1f} MB after")
    if after - before > _GROWTH:
        problems.append(f"memory did not return: {after - before} KB more")
    return problems


async def _listener(stack: AsyncExitStack, served: Served) -> Listener[Incoming]:
    client = await stack.enter_async_context(Client(f"ws://127.0.0.1:{served.port}", KEY, timeout=60.0))
    channel = client.channel("feed")
    await channel.subscribed(60.0)
    return channel.listen()


def _subscribe(stalled: socket.socket) -> None:
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stalled.sendall(f"GET /app/{KEY}?protocol=7 HTTP/1.1\r\n".encode() + UPGRADE)
    assert stalled.recv(65_536).startswith(b"HTTP/1.1 101 ")
    for channel in ("feed", "flood"):
        command = json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}})
        stalled.sendall(Frame(Opcode.TEXT, command.encode()).serialize(mask=True))


async def _round(
    what: str, served: Served, listeners: list[Listener[Incoming]], *, flood: bool = False
) -> None:
    """Send events, each when everybody has heard the one before, and print how long they took to arrive."""
    delays: list[float] = []

    async def hear(listener: Listener[Incoming]) -> None:
        sent = (await anext(listener)).data
        delays.append((time.perf_counter() - sent) * 1000)

    peak = 0
    for _ in range(_EVENTS):
        if flood:
            for _ in range(10):
                await asyncio.to_thread(_post, served.port, "flood", _LARGE)
        await asyncio.to_thread(_post, served.port, "feed", json.dumps(time.perf_counter()))
        async with asyncio.timeout(30):
            await asyncio.gather(*(hear(listener) for listener in listeners))
        peak = max(peak, served.memory)
    cuts = statistics.quantiles(delays, n=100)
    print(
        f"{what:<28} median {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, peak memory {peak / 1024:.1f} MB",
        flush=True,
    )


def _post(port: int, channel: str, data: str) -> None:
    event = {"name": "e", "channels": [channel], "data": data}
    answer = call(port, "POST", f"/apps/{ID}/events", event, credentials=Credentials(KEY, SECRET))
    assert answer.status == 200, answer


if __name__ == "__main__":
    run(stall, well="nobody waited for it")
