"""The bus of Redis: publish and subscribe."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby, islice
from typing import Any

from broadcaster.cluster._again import run_again
from broadcaster.cluster._redis_link import Link, Links, Refusal
from broadcaster.cluster.bus import Heard

__all__ = ["RedisBus"]

_logger = logging.getLogger("broadcaster.server")

_AT_ONCE = 500
_MOST_BYTES = 67_108_864


class RedisBus:
    """Publishes and subscribes on the Redis at *url*: `redis://:password@host:port/db`, or `rediss://`.

    The Redis channel of a topic is *prefix* and its name.
    A Redis that is silent for *seconds* is asked whether it is still there; one that does not answer in as
    many again is left, and looked for anew. What could not be published is published then, up to 64 MiB, and
    may come twice: whoever hears it goes by its id. Raises `ConfigurationError` for a URL that is none.
    """

    def __init__(self, url: str, *, prefix: str = "", seconds: float = 2.0) -> None:
        links = Links(url, seconds=seconds)
        self._prefix = prefix
        self._subscriber = _Subscriber(links)
        self._publisher = _Publisher(links, seconds)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_connected(self) -> bool:
        """See `Bus.is_connected`."""
        return self._subscriber.is_connected and self._publisher.is_connected

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._publisher.lost + self._publisher.refused

    def open(self, heard: Heard, interrupted: Callable[[], None]) -> None:
        """See `Bus.open()`; it does not wait for Redis."""
        after = len(self._prefix)
        self._subscriber.heard = lambda topic, payload: heard(topic[after:], payload)
        self._subscriber.interrupted = interrupted
        self._tasks = [
            asyncio.create_task(
                run_again(self._subscriber.run, self._subscriber.lost, what="bus"),
                name="broadcaster-bus-subscriber",
            ),
            asyncio.create_task(
                run_again(self._publisher.run, _told_by_the_subscriber, what="bus"),
                name="broadcaster-bus-publisher",
            ),
        ]

    def subscribe(self, topic: str, ready: Callable[[], None]) -> None:
        """See `Bus.subscribe()`."""
        self._subscriber.subscribe(self._prefix + topic, ready)

    def unsubscribe(self, topic: str) -> None:
        """See `Bus.unsubscribe()`."""
        self._subscriber.unsubscribe(self._prefix + topic)

    def publish(self, topic: str, payload: bytes) -> None:
        """See `Bus.publish()`; we hear it too, where we subscribe to *topic*."""
        self._publisher.publish(self._prefix + topic, payload)

    async def aclose(self, seconds: float) -> None:
        """See `Bus.aclose()`."""
        if self._publisher.is_connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._publisher.said.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


class _Subscriber:
    """The connection that subscribes."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._wanted: dict[str, Callable[[], None] | None] = {}
        """Each topic, with what to call when it is heard; None once that was done."""
        self._unanswered: dict[bytes, int] = {}
        self._commands: deque[tuple[str, str]] = deque()
        self._told = asyncio.Event()
        self._was_away = False
        self._is_open = False
        self.is_connected = False
        self.heard: Heard = _nobody
        self.interrupted: Callable[[], None] = _nothing

    def subscribe(self, topic: str, ready: Callable[[], None]) -> None:
        self._wanted[topic] = ready
        if self._is_open:
            self._command("SUBSCRIBE", topic)
        elif self._was_away:
            self._be_ready(topic)

    def unsubscribe(self, topic: str) -> None:
        if topic in self._wanted:
            del self._wanted[topic]
            if self._is_open:
                self._command("UNSUBSCRIBE", topic)

    async def run(self) -> None:
        link = self._links.link("")
        try:
            await link.open()
            self._is_open = True
            for topic in self._wanted:
                self._command("SUBSCRIBE", topic)
            self._settle()
            speaking = asyncio.create_task(self._speak(link), name="broadcaster-bus-subscribe")
            try:
                while True:
                    self._take(await self._next(link))
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
        finally:
            self._is_open = self.is_connected = False
            self._commands.clear()
            self._unanswered.clear()
            await link.close()

    def lost(self, error: OSError) -> None:
        """Note that nothing is heard now; nobody waits for that to change."""
        if not self._was_away:
            _logger.error("Redis is away (%s): other nodes are not heard until it is back", error)
        self._was_away = True
        for topic in list(self._wanted):
            self._be_ready(topic)

    async def _next(self, link: Link) -> Any:
        """Return what comes next; a silent Redis is asked for a sign of life, once."""
        try:
            return await link.read()
        except TimeoutError:
            await link.send(("PING",))
            return await link.read()

    def _take(self, answer: Any) -> None:
        match answer:
            case [b"message", bytes(topic), bytes(payload)]:
                self.heard(topic.decode(), payload)
            case [b"subscribe", bytes(topic), _]:
                self._unanswered[topic] -= 1
                # Otherwise it is the answer to an earlier one, after which we left the topic.
                if not self._unanswered[topic]:
                    del self._unanswered[topic]
                    self._be_ready(topic.decode())
                    self._settle()
            case Refusal():
                raise ConnectionError(answer)

    def _settle(self) -> None:
        """Note that all is heard, as soon as it is."""
        if self.is_connected or self._unanswered:
            return
        self.is_connected = True
        if self._was_away:
            self._was_away = False
            _logger.warning("Redis is back: other nodes are heard again; what they said meanwhile is not")
            self.interrupted()

    def _be_ready(self, topic: str) -> None:
        if (ready := self._wanted.get(topic)) is not None:
            self._wanted[topic] = None
            ready()

    def _command(self, verb: str, topic: str) -> None:
        if verb == "SUBSCRIBE":
            self._unanswered[topic.encode()] = self._unanswered.get(topic.encode(), 0) + 1
        self._commands.append((verb, topic))
        self._told.set()

    async def _speak(self, link: Link) -> None:
        with suppress(OSError):  # whoever reads finds out too
            while True:
                await self._told.wait()
                self._told.clear()
                while self._commands:
                    batch = [self._commands.popleft() for _ in range(min(len(self._commands), _AT_ONCE))]
                    await link.send(
                        *(
                            (verb, *(topic for _, topic in commands))
                            for verb, commands in groupby(batch, key=lambda command: command[0])
                        )
                    )


class _Publisher:
    """The connection that publishes."""

    def __init__(self, links: Links, seconds: float) -> None:
        self._links = links
        self._seconds = seconds
        self._unsaid: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._more = asyncio.Event()
        self.said = asyncio.Event()
        self.said.set()
        self.is_connected = False
        self.lost = self.refused = 0

    def publish(self, topic: str, payload: bytes) -> None:
        self._unsaid.append((topic, payload))
        self._size += len(payload)
        if self._size > _MOST_BYTES:
            self._lose()
        self.said.clear()
        self._more.set()

    async def run(self) -> None:
        link = self._links.link("")
        try:
            await link.open()
            self.is_connected = True
            while True:
                while self._unsaid:
                    await self._say(link)
                self.said.set()
                self._more.clear()
                await self._wait(link)
        finally:
            self.is_connected = False
            await link.close()

    async def _wait(self, link: Link) -> None:
        """Wait until there is something to say; meanwhile see that somebody listens."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._more.wait()
        except TimeoutError:
            await link.send(("PING",))
            await link.read()

    async def _say(self, link: Link) -> None:
        batch = list(islice(self._unsaid, _AT_ONCE))
        await link.send(*(("PUBLISH", topic, payload) for topic, payload in batch))
        for said in batch:
            if isinstance(answer := await link.read(), Refusal):
                # It would say the same the next time.
                self.refused += 1
                _logger.error("Redis does not publish for other nodes: %s", answer)
            # One that was lost meanwhile is not here any more.
            if self._unsaid and self._unsaid[0] is said:
                self._size -= len(self._unsaid.popleft()[1])

    def _lose(self) -> None:
        """Drop what is oldest, and say so once in a while."""
        while self._size > _MOST_BYTES:
            self._size -= len(self._unsaid.popleft()[1])
            self.lost += 1
            if self.lost == 1 or self.lost % 1_000 == 0:
                _logger.error("Redis is away for too long: messages for other nodes lost: %d", self.lost)


def _told_by_the_subscriber(error: OSError) -> None:
    """Say nothing: it finds out too."""


def _nobody(topic: str, payload: bytes) -> None:
    """Hear nothing yet."""


def _nothing() -> None:
    """Do nothing yet."""
