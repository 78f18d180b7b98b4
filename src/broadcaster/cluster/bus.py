"""What carries messages from node to node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

__all__ = ["Bus", "Heard", "LocalBus"]

Heard: TypeAlias = Callable[[str, bytes], None]
"""Takes a topic, and what was published there."""


class Bus(Protocol):
    """Hears topics, and publishes on them; all of it on one event loop, and nothing of it waits.

    Nobody is ever kept waiting by a bus that is out of order: it says so, is ready at once, and hears again
    as soon as it can.
    """

    @property
    def is_connected(self) -> bool:
        """Whether everything published on the topics that it subscribes to is heard."""
        ...

    @property
    def dropped(self) -> int:
        """How much was published here, and could not be told to anybody."""
        ...

    def open(self, heard: Heard, interrupted: Callable[[], None]) -> None:
        """Start on the running event loop.

        *heard* takes what comes, and *interrupted* is called where something may have been missed.
        """

    def subscribe(self, topic: str, ready: Callable[[], None]) -> None:
        """Hear *topic*; *ready* is called once what is published from then on is heard, or cannot be now."""

    def unsubscribe(self, topic: str) -> None:
        """Hear *topic* no more; if it was not ready yet, it never is."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Tell *payload* to everybody who hears *topic*; whether to ourselves too is up to the bus."""

    def told(self) -> Sequence[Awaitable[None]]:
        """Return what to await until all that was published before has been told to the others.

        Nothing, where that is so; and nobody is to wait for what cannot be told now.
        """
        ...

    async def aclose(self, seconds: float) -> None:
        """Publish what is still there, for up to *seconds*, and stop; the rest is lost."""


class LocalBus:
    """Connects nodes of one event loop: those that share *topics*, which are who hears what."""

    dropped = 0

    def __init__(self, topics: dict[str, dict[LocalBus, Heard]] | None = None) -> None:
        self._topics = {} if topics is None else topics
        self._heard: Heard | None = None

    @property
    def is_connected(self) -> bool:
        """Whether it is open."""
        return self._heard is not None

    def open(self, heard: Heard, interrupted: Callable[[], None]) -> None:
        """See `Bus.open()`; nothing is ever missed."""
        self._heard = heard

    def subscribe(self, topic: str, ready: Callable[[], None]) -> None:
        """See `Bus.subscribe()`; it is ready at once."""
        if self._heard is not None:
            self._topics.setdefault(topic, {})[self] = self._heard
        ready()

    def unsubscribe(self, topic: str) -> None:
        """See `Bus.unsubscribe()`."""
        hearers = self._topics.get(topic, {})
        hearers.pop(self, None)
        if not hearers:
            self._topics.pop(topic, None)

    def publish(self, topic: str, payload: bytes) -> None:
        """See `Bus.publish()`; the others have heard it when this returns."""
        for bus, heard in list(self._topics.get(topic, {}).items()):
            if bus is not self:
                heard(topic, payload)

    def told(self) -> Sequence[Awaitable[None]]:
        """See `Bus.told()`; it is always so."""
        return ()

    async def aclose(self, seconds: float) -> None:
        """See `Bus.aclose()`."""
        self._heard = None
        for topic in list(self._topics):
            self.unsubscribe(topic)
