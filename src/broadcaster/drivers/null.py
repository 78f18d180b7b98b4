"""The driver that delivers nothing: for tests, and for switching broadcasting off."""

from __future__ import annotations

from collections.abc import Sequence

from broadcaster.drivers.base import Driver
from broadcaster.messages import Message

__all__ = ["NullDriver"]


class NullDriver(Driver):
    """Takes every message and drops it; events are encoded and checked as they always are."""

    name = "null"

    def deliver(self, message: Message) -> None:
        """Drop *message*."""

    async def adeliver(self, message: Message) -> None:
        """Drop *message*."""

    def deliver_many(self, messages: Sequence[Message]) -> None:
        """Drop *messages*."""

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Drop *messages*."""
