"""A server in a process of its own: `python -m benchmarks.serving broadcaster|asgi|websockets [CERTIFICATE]`.

It prints its port as a line of JSON and takes commands on stdin, until that ends: `push TIMES SIZE` pushes
frames of SIZE bytes, one each turn of the event loop; `usage` prints what the process uses and serves.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import resource
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvicorn
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

from benchmarks.machine import peak_memory, raise_file_limit
from broadcaster import Message
from broadcaster.protocol import frames
from broadcaster.server import App, AsgiServer, Server
from broadcaster.server.lifecycle import new_event_loop

__all__ = ["CHANNEL", "KEY", "data_of", "say", "usage"]

CHANNEL = "orders"
KEY = "key"
_NAME = "OrderShipped"
_FRAME_HEAD = 4


@dataclass(frozen=True, slots=True)
class Served:
    """A server: its port, how to push an event with given data, how many clients it has."""

    port: int
    push: Callable[[str], None]
    count: Callable[[], int]


def data_of(size: int) -> str:
    """Return data that make a frame of *size* bytes, between 130 and 65,539, on the wire."""
    text = '{"text":""}'
    missing = size - _FRAME_HEAD - len(frames.event(_NAME, CHANNEL, text).encode())
    return text.replace('""', f'"{"." * missing}"')


def say(**facts: float) -> None:
    """Print one line of JSON, at once."""
    print(json.dumps(facts), flush=True)


def usage() -> dict[str, float]:
    """Return what this process has used: seconds of CPU, bytes of memory."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"user": used.ru_utime, "system": used.ru_stime, "memory": _memory(), "peak": peak_memory()}


@asynccontextmanager
async def broadcaster() -> AsyncIterator[Served]:
    """Serve with our server; events are published on it in its own process."""
    async with Server([App("1", KEY, "secret")], port=0) as server:

        def push(data: str) -> None:
            server.publish(Message(_NAME, (CHANNEL,), data))

        yield Served(server.port, push, lambda: server.connection_count)


@asynccontextmanager
async def asgi(certificate: str | None = None) -> AsyncIterator[Served]:
    """Serve with our ASGI application, alone on a uvicorn with the same loop; with a certificate, by TLS."""
    server = AsgiServer([App("1", KEY, "secret")])

    def push(data: str) -> None:
        server.publish(Message(_NAME, (CHANNEL,), data))

    application = cast("Callable[..., Awaitable[None]]", server)
    config = uvicorn.Config(
        application,
        log_level="critical",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ssl_certfile=certificate,
    )
    under = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        # Clients may connect at once: they wait for the answer until it has started.
        running = asyncio.create_task(under.serve([listener]))
        yield Served(listener.getsockname()[1], push, lambda: server.connection_count)
        under.should_exit = True
        await running


@asynccontextmanager
async def websockets() -> AsyncIterator[Served]:
    """Serve with the library `websockets` and its `broadcast()`, and as little around them as will do."""
    subscribers: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.send(frames.connection_established("1.1", 120))
            async for text in connection:
                channel = json.loads(text)["data"]["channel"]
                subscribers.add(connection)
                await connection.send(frames.subscribed(channel))
        subscribers.discard(connection)

    def push(data: str) -> None:
        broadcast(subscribers, frames.event(_NAME, CHANNEL, data))

    listener = serve_websockets(
        handle, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1, backlog=4096
    )
    async with listener as server:
        yield Served(next(iter(server.sockets)).getsockname()[1], push, lambda: len(server.connections))


SERVERS: dict[str, Callable[..., AbstractAsyncContextManager[Served]]] = {
    "broadcaster": broadcaster,
    "asgi": asgi,
    "websockets": websockets,
}


async def serve(name: str, *options: str) -> None:
    """Serve until the commands end."""
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with SERVERS[name](*options) as served:
        say(port=served.port)
        async for line in commands:
            match line.decode().split():
                case ["push", times, size]:
                    data = data_of(int(size))
                    for _ in range(int(times)):
                        served.push(data)
                        await asyncio.sleep(0)
                case ["usage"]:
                    say(**usage(), connections=served.count())
    pipe.close()


def _memory() -> int:
    size = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(size[1]) * 1024 if size else 0


if __name__ == "__main__":
    raise_file_limit()
    # A client that is cut off is told of in the figures.
    logging.disable(logging.WARNING)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(*sys.argv[1:]))
