"""A node whose Redis gets into trouble, and what it does meanwhile and afterwards."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from broadcaster.cluster.bus import Bus
from broadcaster.cluster.redis import redis_group
from broadcaster.cluster.roster import Roster
from broadcaster.protocol.elsewhere import Change
from tests.waits import auntil

from .contract import SECONDS, Hearer
from .rosters import ROOM, RosterNode

__all__ = ["QUICK", "TOPICS", "Node", "Pair", "pair"]

QUICK = 0.3
_logger = logging.getLogger(__name__)
TOPICS = tuple(f"topic-{number}" for number in range(12))
_groups = itertools.count()


class Node:
    """What a node has of Redis: a bus and a roster, which the server takes for connected or not."""

    def __init__(self, url: str, prefix: str, others: list[RosterNode]) -> None:
        group = redis_group(url, prefix=prefix, seconds=QUICK, lease=4 * QUICK)
        self.bus, self.roster = group.bus, group.roster
        self.hearer = Hearer(group.bus)
        self.member = RosterNode(group.roster, others)

    @property
    def is_connected(self) -> bool:
        return self.bus.is_connected and self.roster.is_connected

    async def open(self) -> None:
        await self.hearer.open()
        await self.member.open()
        for topic in TOPICS:
            await self.hearer.subscribe(topic)

    async def users(self) -> list[str]:
        try:
            return await self.roster.users(ROOM)
        except OSError:
            await auntil(lambda: self.roster.is_connected)
            return []

    async def close(self) -> None:
        await self.roster.aclose(SECONDS)
        await self.bus.aclose(SECONDS)


class Pair:
    """The *node* that gets into trouble, and an *other* one of its group, which may be spared."""

    def __init__(self, node: Node, other: Node, *, is_spared: bool) -> None:
        self.node = node
        self.other = other
        self._troubled = (node,) if is_spared else (node, other)
        self._number = itertools.count()

    async def is_deaf_after(
        self, trouble: Callable[[], object], *, what: Callable[[Node], Bus | Roster] = lambda node: node.bus
    ) -> None:
        """Let *trouble* come; return once who is in it has said that *what* is not connected, and goes on."""
        began = asyncio.get_running_loop().time()
        deaf: set[Node] = set()

        def are_deaf() -> bool:
            deaf.update(node for node in self._troubled if not what(node).is_connected)
            return len(deaf) == len(self._troubled)

        # Looked for meanwhile: it may be over before *trouble* returns.
        coming = asyncio.create_task(asyncio.to_thread(trouble))
        await auntil(are_deaf)
        await coming
        _logger.info("noticed after %.1f s", asyncio.get_running_loop().time() - began)

        # Nobody waits for Redis.
        await self.node.hearer.subscribe(f"late-{next(self._number)}")
        self.node.bus.publish(TOPICS[0], b"said meanwhile")

    async def hears_again_after(self, mend: Callable[[], object], *, gaps: int = 1) -> None:
        """Let *mend* come; return when all is well, and who was in trouble knows of *gaps*."""
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(mend)
        async with asyncio.timeout(SECONDS):
            await auntil(lambda: all(node.hearer.interruptions >= gaps for node in self._troubled))
            await self.is_well()
        _logger.info("heard again after %.1f s", asyncio.get_running_loop().time() - began)

    async def is_well(self) -> None:
        """Return when each hears the other on all topics, and knows who is there."""
        await auntil(lambda: self.node.is_connected and self.other.is_connected)
        for speaker, hearer in ((self.node, self.other), (self.other, self.node)):
            word = b"%d" % next(self._number)
            for topic in TOPICS:
                speaker.bus.publish(topic, word)
            await auntil(lambda: all(word in hearer.hearer.of(topic) for topic in TOPICS))  # noqa: B023
        self.node.roster.report(ROOM, Change(1, {"ann": {}}), tell=False)
        self.other.roster.report(ROOM, Change(1, {"bob": {}}), tell=False)
        async with asyncio.timeout(SECONDS):
            while await self.node.users() != ["ann", "bob"] or await self.other.users() != ["ann", "bob"]:
                pass


@asynccontextmanager
async def pair(url: str, *, other: str = "", prefix: str = "") -> AsyncIterator[Pair]:
    """Run two nodes on the Redis at *url*; the *other* may have a way of its own."""
    members: list[RosterNode] = []
    prefix = prefix or f"trouble-{next(_groups)}-"
    both = Pair(Node(url, prefix, members), Node(other or url, prefix, members), is_spared=bool(other))
    await both.node.open()
    await both.other.open()
    try:
        await both.is_well()
        yield both
    finally:
        await both.node.close()
        await both.other.close()
