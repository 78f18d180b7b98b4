"""The driver that hands every message to several others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from broadcaster.drivers.base import Driver
from broadcaster.drivers.signers import Signer
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message

__all__ = ["StackDriver"]


class StackDriver(Driver):
    """Delivers through every one of *drivers*; that one fails does not keep the others from delivering.

    Threads go through them one after another, coroutines through all at once. Whoever made the *drivers*
    closes them. A `DeliveryError` tells in its `failures` which of them failed, and is retryable when one
    of those is: the drivers that did not fail then get the same message, with the same id, again.
    """

    name = "stack"

    def __init__(self, drivers: Mapping[str, Driver]) -> None:
        self._drivers = dict(drivers)

    @property
    def signer(self) -> Signer | None:
        """That of the first driver that has one."""
        return next(filter(None, (driver.signer for driver in self._drivers.values())), None)

    def deliver(self, message: Message) -> None:
        """Hand *message* to every driver."""
        self._each(lambda driver: driver.deliver(message))

    async def adeliver(self, message: Message) -> None:
        """Hand *message* to every driver."""
        await self._aeach(lambda driver: driver.adeliver(message))

    def deliver_many(self, messages: Sequence[Message]) -> None:
        """Hand *messages* to every driver, as one batch."""
        self._each(lambda driver: driver.deliver_many(messages))

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Hand *messages* to every driver, as one batch."""
        await self._aeach(lambda driver: driver.adeliver_many(messages))

    def _each(self, deliver: Callable[[Driver], None]) -> None:
        failures: dict[str, DeliveryError] = {}
        for name, driver in self._drivers.items():
            try:
                deliver(driver)
            except DeliveryError as error:
                failures[name] = error
        self._check(failures)

    async def _aeach(self, deliver: Callable[[Driver], Awaitable[None]]) -> None:
        failures: dict[str, DeliveryError] = {}

        async def attempt(name: str, driver: Driver) -> None:
            try:
                await deliver(driver)
            except DeliveryError as error:
                failures[name] = error

        attempts = (attempt(name, driver) for name, driver in self._drivers.items())
        for mistake in await asyncio.gather(*attempts, return_exceptions=True):
            if mistake is not None:
                raise mistake
        self._check(failures)

    def _check(self, failures: Mapping[str, DeliveryError]) -> None:
        if failures:
            told = "; ".join(f"{name}: {failures[name]}" for name in self._drivers if name in failures)
            raise DeliveryError(
                f"{len(failures)} of {len(self._drivers)} drivers failed: {told}",
                driver=self.name,
                retryable=any(error.retryable for error in failures.values()),
                failures=failures,
            )
