"""What every bus keeps, shown by two nodes on it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from broadcaster.cluster.bus import Bus
from tests.waits import auntil

__all__ = ["SECONDS", "BusContract", "Hearer"]

SECONDS = 30.0


class Hearer:
    """One node: its *bus*, and what it *heard*."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.heard: list[tuple[str, bytes]] = []
        self.interruptions = 0

    async def open(self) -> None:
        self.bus.open(lambda topic, payload: self.heard.append((topic, payload)), self._interrupted)
        await auntil(lambda: self.bus.is_connected)

    async def subscribe(self, topic: str) -> None:
        ready = asyncio.Event()
        self.bus.subscribe(topic, ready.set)
        async with asyncio.timeout(SECONDS):
            await ready.wait()

    def of(self, topic: str) -> list[bytes]:
        return [payload for where, payload in self.heard if where == topic]

    def _interrupted(self) -> None:
        self.interruptions += 1


class BusContract(ABC):
    """Subclass it; `bus()` makes another bus of the same nodes each time."""

    @abstractmethod
    def bus(self) -> Bus:
        """Return a bus that is not open."""

    @pytest.fixture
    async def nodes(self) -> AsyncIterator[tuple[Hearer, Hearer]]:
        async with AsyncExitStack() as stack:
            one, other = Hearer(self.bus()), Hearer(self.bus())
            for node in (one, other):
                await node.open()
                stack.push_async_callback(node.bus.aclose, SECONDS)
            yield one, other

    async def test_what_one_publishes_on_a_topic_the_other_hears_in_order(
        self, nodes: tuple[Hearer, Hearer]
    ) -> None:
        one, other = nodes
        await other.subscribe("orders")
        await other.subscribe("news")

        for number in range(1_000):
            one.bus.publish("news" if number % 2 else "orders", b"%d" % number)

        await auntil(lambda: len(other.heard) == 1_000)
        assert other.of("orders") == [b"%d" % number for number in range(0, 1_000, 2)]
        assert other.of("news") == [b"%d" % number for number in range(1, 1_000, 2)]

    async def test_nobody_hears_a_topic_that_it_did_not_subscribe_to(
        self, nodes: tuple[Hearer, Hearer]
    ) -> None:
        one, other = nodes
        await other.subscribe("orders")

        for topic in ("news", "orders.7", "order", "Orders", "orders"):
            one.bus.publish(topic, topic.encode())

        await auntil(lambda: other.heard)
        assert other.heard == [("orders", b"orders")]

    async def test_what_is_published_once_it_is_ready_is_heard(self, nodes: tuple[Hearer, Hearer]) -> None:
        one, other = nodes
        for number in range(100):
            topic = f"topic-{number}"
            other.bus.subscribe(topic, lambda topic=topic: one.bus.publish(topic, b"ready"))  # type: ignore[misc]

        await auntil(lambda: len(other.heard) == 100)

    async def test_a_topic_that_was_left_is_not_heard(self, nodes: tuple[Hearer, Hearer]) -> None:
        one, other = nodes
        await other.subscribe("orders")
        other.bus.unsubscribe("orders")
        await other.subscribe("fence")

        one.bus.publish("orders", b"unheard")
        one.bus.publish("fence", b"heard")

        await auntil(lambda: other.heard)
        assert other.heard == [("fence", b"heard")]

    async def test_a_topic_that_was_left_and_joined_again_is_heard(
        self, nodes: tuple[Hearer, Hearer]
    ) -> None:
        one, other = nodes
        for _ in range(20):
            other.bus.subscribe("orders", lambda: None)
            other.bus.unsubscribe("orders")
        await other.subscribe("orders")

        one.bus.publish("orders", b"heard")

        await auntil(lambda: other.heard)
        assert other.heard == [("orders", b"heard")]

    async def test_names_and_payloads_may_hold_anything(self, nodes: tuple[Hearer, Hearer]) -> None:
        one, other = nodes
        topic, payload = "shop-database-7:presence-ü *?[a]\r\n", bytes(range(256)) * 100
        await other.subscribe(topic)

        one.bus.publish(topic, payload)

        await auntil(lambda: other.heard)
        assert other.heard == [(topic, payload)]

    async def test_what_was_told_comes_before_what_others_say_then(
        self, nodes: tuple[Hearer, Hearer]
    ) -> None:
        one, other = nodes
        hearer = Hearer(self.bus())
        await hearer.open()
        await hearer.subscribe("orders")

        for number in range(100):
            for bus in (one.bus, other.bus):
                bus.publish("orders", b"%d" % number)
                await asyncio.gather(*bus.told())

        await auntil(lambda: len(hearer.heard) == 200)
        assert hearer.of("orders") == [b"%d" % number for number in range(100) for _ in range(2)]
        assert list(one.bus.told()) == []
        await hearer.bus.aclose(SECONDS)

    async def test_what_was_published_before_it_is_closed_is_heard(
        self, nodes: tuple[Hearer, Hearer]
    ) -> None:
        one, other = nodes
        await other.subscribe("orders")
        for number in range(500):
            one.bus.publish("orders", b"%d" % number)

        await one.bus.aclose(SECONDS)

        await auntil(lambda: len(other.heard) == 500)
        assert not one.bus.is_connected
