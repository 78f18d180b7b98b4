"""A server on the library `websockets`: `python with_websockets.py PORT`."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import suppress

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

_subscribers: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def _handle(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for said in connection:
            what, channel, *text = str(said).split(" ", 2)
            if what == "publish":
                broadcast(_subscribers[channel], text[0])
            else:
                _subscribers[channel].add(connection)
                await connection.send("subscribed")
    for subscribers in _subscribers.values():
        subscribers.discard(connection)


async def _main(port: int) -> None:
    async with serve(
        _handle, "127.0.0.1", port, compression=None, ping_interval=None, max_queue=None, backlog=4096
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
