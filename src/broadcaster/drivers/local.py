"""The driver that hands messages straight to a server in the same process."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Protocol

from broadcaster.drivers.base import Driver
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message

__all__ = ["LocalDriver", "LocalServer"]


class LocalServer(Protocol):
    """What the driver asks of an embedded server."""

    def publish(self, message: Message) -> Future[None]:
        """Push *message* to its subscribers; callable from any thread.

        The future is done when it is pushed, and already done when called on the server's own event
        loop. Raises `DeliveryError` when the server does not run.
        """
        ...


class LocalDriver(Driver):
    """Publishes on *server*; waits up to *timeout* seconds for a server that is busy."""

    name = "local"

    def __init__(self, server: LocalServer, *, timeout: float = 5.0) -> None:
        self._server = server
        self._timeout = timeout

    def deliver(self, message: Message) -> None:
        """Publish *message* and wait until it is pushed."""
        try:
            self._server.publish(message).result(self._timeout)
        except FutureTimeout as error:
            raise self._late() from error

    async def adeliver(self, message: Message) -> None:
        """Publish *message* and wait until it is pushed."""
        future = self._server.publish(message)
        if not future.done():
            try:
                await asyncio.wait_for(asyncio.wrap_future(future), self._timeout)
            except TimeoutError as error:
                raise self._late() from error

    def _late(self) -> DeliveryError:
        reason = f"the server in this process did not take the message within {self._timeout:g} s"
        return DeliveryError(reason, driver=self.name, retryable=True)
