"""What a node says, each thing at the home of its topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from broadcaster.cluster._backlog import Backlog
from broadcaster.cluster._redis_link import Address, Links, Refusal
from broadcaster.cluster._voice import Said, Voice

__all__ = ["Publisher"]

_logger = logging.getLogger("broadcaster.server")

_MOST_BYTES = 67_108_864


class Publisher:
    """Has a voice at each home of a topic; *astray* is called when the homes are to be learned anew."""

    def __init__(self, links: Links, astray: Callable[[], None], *, seconds: float) -> None:
        self._links = links
        self._servers = links.servers
        self._astray = astray
        self._seconds = seconds
        self._voices: dict[Address, Voice] = {}
        self._homeless: Backlog[Said] = Backlog()
        self._closing: set[asyncio.Task[None]] = set()
        self._lost = self._refused = 0

    @property
    def is_connected(self) -> bool:
        """Whether all can be said, as far as is known."""
        return not self._homeless and not any(voice.is_lost for voice in self._voices.values())

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._lost + self._refused

    def open(self) -> None:
        """Start; voices in a cluster come on demand."""
        if not self._servers.is_sharded:
            for home in self._servers.homes:
                self._voice(home)

    def publish(self, topic: str, payload: bytes) -> None:
        """See `Bus.publish()`."""
        self._say(Said(topic, payload))
        if self._size > _MOST_BYTES:
            self._lose()

    def told(self) -> list[asyncio.Future[None]]:
        """See `Bus.told()`."""
        return [future for voice in self._voices.values() if (future := voice.told()) is not None]

    def follow(self, *, moved: bool) -> None:
        """Say each thing where its topic lives now; with *moved* that may be elsewhere."""
        unsaid = self._homeless.take(lambda topic: True)
        strays = {said.topic for said in unsaid}
        for voice in self._voices.values() if moved or strays else ():
            # After what came back from it, which was said before.
            unsaid += voice.backlog.take(partial(self._lives_elsewhere, strays, voice.home))
        for said in unsaid:
            self._say(said)
        for home, voice in [*self._voices.items()]:
            if not voice.backlog and home not in self._servers.homes:
                del self._voices[home]
                self._close_later(voice)

    def moved(self, said: Said) -> None:
        """See `Speaking.moved()`."""
        self._homeless.add(said)
        self._astray()

    def refused(self, answer: Refusal) -> None:
        """See `Speaking.refused()`."""
        self._refused += 1
        _logger.error("Redis does not publish for other nodes: %s", answer)

    def failed(self) -> None:
        """See `Speaking.failed()`; whoever hears finds out too, and tells."""
        self._astray()

    async def aclose(self, seconds: float) -> None:
        """Say what can be said, for up to *seconds*, and stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(voice.finish() for voice in self._voices.values()))
        for voice in self._voices.values():
            self._close_later(voice)
        self._voices.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    @property
    def _size(self) -> int:
        return self._homeless.size + sum(voice.backlog.size for voice in self._voices.values())

    def _say(self, said: Said) -> None:
        home = self._servers.home(said.topic)
        if home is None:
            self._homeless.add(said)
            self._astray()
        else:
            self._voice(home).say(said)

    def _lives_elsewhere(self, strays: set[str], home: Address, topic: str) -> bool:
        return topic in strays or self._servers.home(topic) != home

    def _voice(self, home: Address) -> Voice:
        if home not in self._voices:
            self._voices[home] = Voice(self._links, home, self, seconds=self._seconds)
        return self._voices[home]

    def _lose(self) -> None:
        """Drop what is oldest where the most waits, and say so once in a while."""
        while self._size > _MOST_BYTES:
            backlogs = [self._homeless, *(voice.backlog for voice in self._voices.values())]
            max(backlogs, key=lambda backlog: backlog.size).drop()
            self._lost += 1
            if self._lost == 1 or self._lost % 1_000 == 0:
                _logger.error("Redis is away for too long: messages for other nodes lost: %d", self._lost)

    def _close_later(self, voice: Voice) -> None:
        self._closing.add(task := asyncio.create_task(voice.aclose()))
        task.add_done_callback(self._closing.discard)
