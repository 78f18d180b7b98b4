"""A steady stream of numbered messages, each posted to a random node until one takes it."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections.abc import Sequence
from http.client import HTTPException

from tests.server.clients import APP, call
from tests.soak.crowd import EVERYBODY, KEPT, ROOM

__all__ = ["Stream"]

_RATES = {EVERYBODY: 2.0, ROOM: 20.0, KEPT: 10.0}
"""Messages a second, for any of the channels whose names begin so."""
_SECONDS = 30.0
_PAUSE = 0.1


class Stream:
    """Posts to *channels* through the nodes at *ports*, with an id, so that no node pushes one twice."""

    def __init__(self, ports: Sequence[int], channels: Sequence[str]) -> None:
        self._ports = ports
        self._id = secrets.token_hex(4)
        self._channels = channels
        self.sent: dict[str, list[float]] = {channel: [] for channel in channels}
        """When each message of a channel was posted for the first time, in the order of their numbers."""
        self.again = 0
        """How often one had to be posted once more."""
        self.problems: list[str] = []

    async def run(self, over: asyncio.Event) -> None:
        """Post until it is *over*, and then until every message is taken."""
        async with asyncio.TaskGroup() as posting:
            for prefix, rate in _RATES.items():
                channels = [channel for channel in self._channels if channel.startswith(prefix)]
                posting.create_task(self._run(posting, channels, rate, over))

    async def post(self, channel: str, port: int | None = None) -> int:
        """Post the next message of *channel*, by way of that node or any; return its number."""
        number = len(self.sent[channel])
        self.sent[channel].append(time.monotonic())
        event = {"name": "number", "channel": channel, "data": json.dumps(number)}
        message_id = f"{self._id}-{channel}-{number}"
        try:
            async with asyncio.timeout(_SECONDS):
                while not await asyncio.to_thread(
                    _post, port or random.choice(self._ports), event, message_id
                ):
                    self.again += 1
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            self.problems.append(f"no node has taken message {number} for {channel}")
        return number

    async def _run(
        self, posting: asyncio.TaskGroup, channels: Sequence[str], rate: float, over: asyncio.Event
    ) -> None:
        due = time.monotonic()
        while not over.is_set():
            due += 1 / rate
            await asyncio.sleep(due - time.monotonic())
            # One that has to be posted again does not hold up those after it.
            posting.create_task(self.post(random.choice(channels)))


def _post(port: int, event: dict[str, str], message_id: str) -> bool:
    try:
        return call(port, "POST", f"/apps/{APP.id}/events", event, ids=message_id).status == 200
    except (OSError, HTTPException):
        return False
