"""The two ways to call a driver, so that one test serves for both."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from broadcaster.drivers.base import Driver
from broadcaster.messages import Message
from broadcaster.testing.contracts.drivers.peers import PATIENCE

__all__ = ["AsyncVerb", "BlockingVerb", "Verb"]


class Verb(ABC):
    """One of the two ways to call a driver."""

    @abstractmethod
    def deliver(self, driver: Driver, *messages: Message) -> None:
        """Deliver *messages*, one after another."""

    @abstractmethod
    def deliver_many(self, driver: Driver, messages: Sequence[Message]) -> None:
        """Deliver *messages* as one batch."""

    @abstractmethod
    def deliver_at_once(self, driver: Driver, messages: Sequence[Message]) -> None:
        """Deliver *messages*, all of them in flight."""

    @abstractmethod
    def deliver_elsewhere(self, driver: Driver, *messages: Message) -> None:
        """Deliver *messages* from a thread, or a process, that delivered nothing before, and close."""

    @abstractmethod
    def close(self, driver: Driver) -> None:
        """Close *driver*."""

    def end(self) -> None:  # noqa: B027 - threads leave nothing behind
        """Give back what the verb holds."""


class BlockingVerb(Verb):
    """Blocks."""

    def deliver(self, driver: Driver, *messages: Message) -> None:
        for message in messages:
            driver.deliver(message)

    def deliver_many(self, driver: Driver, messages: Sequence[Message]) -> None:
        driver.deliver_many(messages)

    def deliver_at_once(self, driver: Driver, messages: Sequence[Message]) -> None:
        with ThreadPoolExecutor(len(messages)) as threads:
            for done in [threads.submit(driver.deliver, message) for message in messages]:
                done.result(PATIENCE)

    def deliver_elsewhere(self, driver: Driver, *messages: Message) -> None:
        self.deliver(driver, *messages)

    def close(self, driver: Driver) -> None:
        driver.close()


class AsyncVerb(Verb):
    """Runs everything on one event loop, as an application would."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def deliver(self, driver: Driver, *messages: Message) -> None:
        self._runner.run(self._each(driver, messages))

    def deliver_many(self, driver: Driver, messages: Sequence[Message]) -> None:
        async def batch() -> None:
            await driver.adeliver_many(messages)

        self._runner.run(batch())

    def deliver_at_once(self, driver: Driver, messages: Sequence[Message]) -> None:
        async def all_of_them() -> None:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(self._each(driver, [message]))

        self._runner.run(all_of_them())

    def deliver_elsewhere(self, driver: Driver, *messages: Message) -> None:
        async def one_life() -> None:
            await self._each(driver, messages)
            await driver.aclose()

        asyncio.run(one_life())

    def close(self, driver: Driver) -> None:
        async def closing() -> None:
            await driver.aclose()

        self._runner.run(closing())

    def end(self) -> None:
        self._runner.close()

    async def _each(self, driver: Driver, messages: Sequence[Message]) -> None:
        for message in messages:
            await driver.adeliver(message)
