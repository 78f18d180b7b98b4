"""The driver that hands messages straight to a server in the same process."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Protocol

from broadcaster.drivers.base import Driver
from broadcaster.drivers.shares import shares
from broadcaster.drivers.signers import PusherSigner
from broadcaster.encryption import master_key
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message
from broadcaster.signing import Credentials

__all__ = ["LocalDriver", "LocalServer"]


class LocalServer(Protocol):
    """What the driver asks of an embedded server."""

    @property
    def credentials(self) -> Credentials:
        """The key and the secret of the application that `publish()` publishes for."""
        ...

    def publish(self, message: Message) -> Future[None]:
        """Push *message* to its subscribers; callable from any thread.

        The future is done when it is pushed, and already done when called on the server's own event
        loop. Raises `DeliveryError` when the server does not run.
        """
        ...


class LocalDriver(Driver):
    """Publishes on *server*; waits up to *timeout* seconds for a server that is busy.

    *encryption_master_key* is 32 bytes in Base64. Without it, a message for an encrypted channel is refused.
    Raises `ConfigurationError` for a key that is none.
    """

    name = "local"

    def __init__(
        self, server: LocalServer, *, timeout: float = 5.0, encryption_master_key: str | None = None
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._encryption_key = master_key(encryption_master_key)

    @property
    def signer(self) -> PusherSigner:
        """What signs with the server's own key and secret."""
        return PusherSigner(self._server.credentials, self._encryption_key)

    def deliver(self, message: Message) -> None:
        """Publish *message* and wait until it is pushed."""
        for share in shares(message, self._encryption_key, driver=self.name):
            future = self._server.publish(share)
            with suppress(TimeoutError, CancelledError):
                future.exception(self._timeout)
            self._check(future)

    async def adeliver(self, message: Message) -> None:
        """Publish *message* and wait until it is pushed."""
        for share in shares(message, self._encryption_key, driver=self.name):
            future: Future[None] | asyncio.Future[None] = self._server.publish(share)
            if not future.done():
                future = asyncio.wrap_future(future)
                await asyncio.wait([future], timeout=self._timeout)
            self._check(future)

    def _check(self, future: Future[None] | asyncio.Future[None]) -> None:
        if not future.done():
            future.cancel()
            raise self._error(f"did not take the message within {self._timeout:g} s")
        # Not left to `result()`: asyncio would take it for the cancellation of the task that sends.
        if future.cancelled():
            raise self._error("stopped before it took the message")
        future.result()

    def _error(self, what: str) -> DeliveryError:
        return DeliveryError(f"the server in this process {what}", driver=self.name, retryable=True)
