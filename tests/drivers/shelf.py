"""A peer in memory, for drivers that need no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from broadcaster import Message
from broadcaster.drivers.base import Driver
from broadcaster.testing.contracts.drivers import Received
from tests.recording import RecordingDriver

__all__ = ["PING", "VERBS", "Shelf"]

PING = Message("ping", ("lobby",), "{}")

VERBS: dict[str, Callable[[Driver], None]] = {
    "deliver": lambda driver: driver.deliver(PING),
    "adeliver": lambda driver: asyncio.run(driver.adeliver(PING)),
    "deliver_many": lambda driver: driver.deliver_many([PING, PING]),
    "adeliver_many": lambda driver: asyncio.run(driver.adeliver_many([PING, PING])),
}
"""Every way to deliver `PING`, or two of it."""

D = TypeVar("D", bound=Driver)


class Shelf(Generic[D]):
    """Makes drivers by putting recording ones into *group*; `received()` is what the *member* of it got."""

    socket_id = "12.34"

    def __init__(
        self,
        group: Callable[[Mapping[str, RecordingDriver]], D],
        *,
        member: str,
        recorder: type[RecordingDriver] = RecordingDriver,
    ) -> None:
        self._group = group
        self._member = member
        self._recorder = recorder
        self._members: list[RecordingDriver] = []

    def driver(self, *, timeout: float | None = None, retries: int | None = None) -> D:
        members = {name: self._recorder() for name in ("first", "second")}
        self._members.append(members[self._member])
        return self._group(members)

    def listen(self, *channels: str) -> None:
        """Nothing to do: a shelf takes everything."""

    def received(self, count: int) -> list[Received]:
        return [
            Received(message.name, channel, json.loads(message.data), message.except_socket)
            for driver in self._members
            for message in driver.delivered
            for channel in message.channels
        ]
