"""One connection that subscribes to topics."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any, Protocol

from broadcaster._slots import slot_of
from broadcaster.cluster._again import run_again
from broadcaster.cluster._redis_link import Address, Link, Links, Moved, Refusal

__all__ = ["Ear", "Hearing"]

_AT_ONCE = 500


class Hearing(Protocol):
    """What an ear tells."""

    def heard(self, topic: str, payload: bytes, /) -> None:
        """Take what was published."""

    def subscribed(self, topic: str) -> None:
        """Note that a topic is heard from now on."""

    def settled(self) -> None:
        """Note that an ear hears all that it should."""

    def moved(self, topics: Collection[str]) -> None:
        """Find other homes for topics that are not heard here any more."""

    def lost(self, ear: Ear, error: OSError) -> None:
        """Note that *ear* hears nothing now."""


class Ear:
    """Hears topics at one *home*, and again whenever the connection broke; *hearing* is told of it.

    In a cluster topics are sharded: Redis has a slot for each, which moves.
    """

    def __init__(self, links: Links, home: Address, hearing: Hearing) -> None:
        self.home = home
        self.topics: dict[str, None] = {}
        self.is_lost = False
        """Whether it hears nothing, and did not at the last attempt."""
        self._links = links
        self._is_sharded = links.servers.is_sharded
        self._hearing = hearing
        self._is_open = False
        # By slot, since a slot is all that is told of what has moved.
        self._unanswered: dict[int, dict[str, int]] = {}
        self._commands: deque[tuple[str, str]] = deque()
        self._told = asyncio.Event()
        self._task = asyncio.create_task(
            run_again(self._run, self._lose, what="bus"), name="broadcaster-bus-subscriber"
        )

    @property
    def is_settled(self) -> bool:
        """Whether it hears all that it should."""
        return self._is_open and not self._unanswered

    def add(self, topic: str) -> None:
        """Hear *topic* too."""
        self.topics[topic] = None
        if self._is_open:
            self._subscribe(topic)

    def remove(self, topic: str) -> None:
        """Hear *topic* no more."""
        del self.topics[topic]
        if self._is_open:
            self._command("UNSUBSCRIBE", topic)

    async def aclose(self) -> None:
        """Hear nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        link = self._links.link_to(self.home)
        try:
            await link.open()
            self._is_open, self.is_lost = True, False
            for topic in self.topics:
                self._subscribe(topic)
            self._settle()
            speaking = asyncio.create_task(self._speak(link), name="broadcaster-bus-subscribe")
            try:
                while True:
                    self._take(await self._next(link))
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
        finally:
            self._is_open = False
            self._commands.clear()
            self._unanswered.clear()
            await link.close()

    def _lose(self, error: OSError) -> None:
        self.is_lost = True
        self._hearing.lost(self, error)

    async def _next(self, link: Link) -> Any:
        """Return what comes next; a silent Redis is asked for a sign of life, once."""
        try:
            return await link.read()
        except TimeoutError:
            await link.send(("PING",))
            return await link.read()

    def _take(self, answer: Any) -> None:
        match answer:
            case [b"message" | b"smessage", bytes(topic), bytes(payload)]:
                self._hearing.heard(topic.decode(), payload)
            case [b"subscribe" | b"ssubscribe", bytes(topic), _]:
                self._answered(topic.decode())
            case [b"sunsubscribe", bytes(topic), _]:
                self._left(topic.decode())
            case Moved():
                self._move(self._unanswered.pop(answer.slot, {}))
            case Refusal() if self._is_sharded and answer.startswith("unknown command"):
                raise ConnectionError(
                    "it has no sharded publish and subscribe: a cluster needs Redis 7 or newer"
                )
            case Refusal():
                raise ConnectionError(answer)

    def _answered(self, topic: str) -> None:
        slot = self._slot(topic)
        waiting = self._unanswered.get(slot, {})
        if topic not in waiting:
            return
        waiting[topic] -= 1
        # Otherwise it is the answer to an earlier one, after which we left the topic.
        if not waiting[topic]:
            del waiting[topic]
            if not waiting:
                del self._unanswered[slot]
            if topic in self.topics:
                self._hearing.subscribed(topic)
            self._settle()

    def _left(self, topic: str) -> None:
        """Go after a topic that Redis took from us; where we left it ourselves, that is the answer."""
        if topic in self.topics and topic not in self._unanswered.get(self._slot(topic), {}):
            self._move([topic])

    def _move(self, topics: Iterable[str]) -> None:
        moved = [topic for topic in topics if topic in self.topics]
        for topic in moved:
            del self.topics[topic]
        self._hearing.moved(moved)

    def _settle(self) -> None:
        if not self._unanswered:
            self._hearing.settled()

    def _slot(self, topic: str) -> int:
        return slot_of(topic.encode()) if self._is_sharded else 0

    def _subscribe(self, topic: str) -> None:
        waiting = self._unanswered.setdefault(self._slot(topic), {})
        waiting[topic] = waiting.get(topic, 0) + 1
        self._command("SUBSCRIBE", topic)

    def _command(self, verb: str, topic: str) -> None:
        self._commands.append((verb, topic))
        self._told.set()

    async def _speak(self, link: Link) -> None:
        with suppress(OSError):  # whoever reads finds out too
            while True:
                await self._told.wait()
                self._told.clear()
                while self._commands:
                    some = [self._commands.popleft() for _ in range(min(len(self._commands), _AT_ONCE))]
                    await link.send(*self._packed(some))

    def _packed(self, commands: Iterable[tuple[str, str]]) -> Iterable[tuple[str, ...]]:
        if self._is_sharded:
            # Each in a slot of its own.
            return [(f"S{verb}", topic) for verb, topic in commands]
        return [
            (verb, *(topic for _, topic in several))
            for verb, several in groupby(commands, key=lambda command: command[0])
        ]
