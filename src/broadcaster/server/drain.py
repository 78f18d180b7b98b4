"""Sending the clients of a server elsewhere, a few at a time."""

from __future__ import annotations

import asyncio
import random

from broadcaster.protocol.codes import Code
from broadcaster.server.node import GOING_AWAY, Node

__all__ = ["send_away"]

_PER_SECOND = 50
"""So many cost whoever takes them nothing that it would notice."""


async def send_away(node: Node, seconds: float) -> None:
    """Close every connection with 4200, in any order, spread over *seconds*; a few take less.

    pusher-js comes back from 4200 at once, and has no jitter of its own: what is to come back one by one has
    to be sent away one by one. Each reads what was written to it before, and presence channels hear of each.
    """
    loop = asyncio.get_running_loop()
    connections = [(hub, one) for hub in node.hubs.values() for one in hub.connections.values()]
    random.shuffle(connections)
    start, share = loop.time(), min(seconds / max(1, len(connections)), 1 / _PER_SECOND)
    for number, (hub, connection) in enumerate(connections):
        due = start + share * (number + random.random())  # noqa: S311 - nobody has to guess it
        await asyncio.sleep(max(0.0, due - loop.time()))
        node.perform(hub, hub.dismiss(connection, Code.RECONNECT, GOING_AWAY))
