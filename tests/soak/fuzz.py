"""A million frames of nonsense and many requests: does the server stay up, small, and fair to others?

Run `python -m tests.soak.fuzz [FRAMES]`; it prints figures, and ends with 1 where something is wrong.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import suppress

from broadcaster.client import Client
from broadcaster.signing import Credentials
from tests.soak.nonsense import Nonsense
from tests.soak.served import KEY, SECRET, Served, run

_AT_ONCE = 8
_FRAMES_PER_CONNECTION = 500
_REQUESTS_PER_CONNECTION = 5
_SECONDS = 30.0
_GROWTH = 30_000
"""KB that the caches of the server may take once they are full."""


async def fuzz(served: Served) -> list[str]:
    """Send frames, and a request for every ten of them; return what went wrong."""
    frames = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    rounds = iter(range(frames // _FRAMES_PER_CONNECTION))
    memory = [served.memory]
    answers: dict[bytes, int] = {}
    over = asyncio.Event()
    watching = asyncio.create_task(_watch(served, over))
    started = time.monotonic()
    answered = 0

    async def work() -> None:
        nonlocal answered
        for seed in rounds:
            nonsense = Nonsense(seed)
            answered += await _talk(served.port, nonsense)
            for _ in range(_FRAMES_PER_CONNECTION // 10 // _REQUESTS_PER_CONNECTION):
                for status in await _ask(served.port, nonsense):
                    answers[status] = answers.get(status, 0) + 1
            if seed % (frames // _FRAMES_PER_CONNECTION // 10 or 1) == 0:
                memory.append(served.memory)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    took = time.monotonic() - started
    over.set()
    await watching
    memory.append(served.memory)
    print(f"frames: {frames:,} in {took:.0f} s, answered with {answered:,}")
    print(f"HTTP answers: {dict(sorted(answers.items()))}")
    print(f"memory, MB: {' '.join(f'{kb / 1024:.1f}' for kb in memory)}")
    problems = [f"status {status!r}" for status in answers if status.startswith(b"5")]
    if memory[-1] - memory[2] > _GROWTH:
        problems.append(f"memory grew by {memory[-1] - memory[2]} KB")
    return problems


async def _talk(port: int, nonsense: Nonsense) -> int:
    """Open a WebSocket, say a lot, break a rule at the end; return how many frames came back."""
    answered = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError, asyncio.IncompleteReadError):
        writer.write(
            f"GET /app/{KEY}?protocol=7 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        greeting = await reader.readuntil(b"}")
        socket_id = greeting.partition(b'socket_id\\":\\"')[2].partition(b"\\")[0].decode()
        assert socket_id, greeting
        writer.write(nonsense.frames(_FRAMES_PER_CONNECTION, socket_id))
        writer.write(nonsense.last_frame())
        # One that happens to be right, or promises more, leaves the connection open.
        writer.write_eof()
        async with asyncio.timeout(_SECONDS):
            while piece := await reader.read(65_536):
                answered += piece.count(b'"event"')
    await _close(writer)
    return answered


async def _ask(port: int, nonsense: Nonsense) -> list[bytes]:
    """Send some requests on one connection; return the statuses that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with suppress(OSError):
        for _ in range(_REQUESTS_PER_CONNECTION):
            writer.write(nonsense.request())
        writer.write_eof()
        async with asyncio.timeout(_SECONDS):
            while piece := await reader.read(65_536):
                received += piece
    await _close(writer)
    return [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _watch(served: Served, over: asyncio.Event) -> None:
    """Be a well-behaved pair of clients until it is *over*; every whisper has to arrive, in order."""
    url, credentials = f"ws://127.0.0.1:{served.port}", Credentials(KEY, SECRET)
    delays: list[float] = []
    async with Client(url, KEY, auth=credentials) as ann, Client(url, KEY, auth=credentials) as bob:
        heard = ann.private("healthy").listen_for_whisper("number")
        says = bob.private("healthy")
        await ann.private("healthy").subscribed()
        await says.subscribed()
        while not over.is_set():
            said = time.perf_counter()
            await says.whisper("number", len(delays))
            async with asyncio.timeout(_SECONDS):
                assert (await anext(heard)).data == len(delays), "a whisper was lost"
            delays.append((time.perf_counter() - said) * 1000)
    cuts = statistics.quantiles(delays, n=100)
    print(
        f"healthy pair: {len(delays):,} whispers, none lost, median {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"
    )


if __name__ == "__main__":
    run(fuzz, well="the server stayed up, and said nothing")
