"""A driver as another distribution would write one: it keeps what it is given, or refuses it."""

from __future__ import annotations

from collections.abc import Sequence

from broadcaster import DeliveryError, Message
from broadcaster.drivers.base import Driver

__all__ = ["RecordingDriver"]


class RecordingDriver(Driver):
    """Keeps messages in `delivered`, and how many came at a time in `batches`."""

    name = "recording"

    def __init__(self, *, refuses: str | None = None) -> None:
        self.delivered: list[Message] = []
        self.batches: list[int] = []
        self.closed = 0
        self._refuses = refuses

    def deliver(self, message: Message) -> None:
        self._take([message])

    async def adeliver(self, message: Message) -> None:
        self._take([message])

    def deliver_many(self, messages: Sequence[Message]) -> None:
        self._take(messages)

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        self._take(messages)

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1

    def _take(self, messages: Sequence[Message]) -> None:
        if self._refuses is not None:
            raise DeliveryError(self._refuses, driver=self.name, retryable=True)
        self.delivered += messages
        self.batches.append(len(messages))
