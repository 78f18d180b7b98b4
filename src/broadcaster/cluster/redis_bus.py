"""The bus of Redis: publish and subscribe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from broadcaster.cluster._again import run_again
from broadcaster.cluster._homes import follow_homes
from broadcaster.cluster._publisher import Publisher
from broadcaster.cluster._redis_link import Links
from broadcaster.cluster._subscriber import Subscriber
from broadcaster.cluster.bus import Heard

__all__ = ["RedisBus"]


class RedisBus:
    """Publishes and subscribes on the Redis at *url*: `redis://:password@host:port/db`, or `rediss://`.

    `redis+sentinel://:password@host:port,host:port/service` is the master that sentinels name, and
    `redis+cluster://:password@host:port,host:port` a cluster, where publish and subscribe are sharded.

    The Redis channel of a topic is *prefix* and its name.
    A Redis that is silent for *seconds* is asked whether it is still there; one that does not answer in as
    many again is left, and looked for anew; so is a server that is not the right one any more. What could not
    be published is published then, up to 64 MiB, and may come twice: whoever hears it goes by its id. Raises
    `ConfigurationError` for a URL that is none.
    """

    def __init__(self, url: str, *, prefix: str = "", seconds: float = 2.0) -> None:
        self._links = Links(url, seconds=seconds)
        self._prefix = prefix
        self._seconds = seconds
        self._astray = asyncio.Event()
        self._subscriber = Subscriber(self._links, self._astray.set)
        self._publisher = Publisher(self._links, self._astray.set, seconds=seconds)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """See `Bus.is_connected`."""
        return self._subscriber.is_connected and self._publisher.is_connected

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._publisher.dropped

    def open(self, heard: Heard, interrupted: Callable[[], None]) -> None:
        """See `Bus.open()`; it does not wait for Redis."""
        after = len(self._prefix)
        self._subscriber.open(lambda topic, payload: heard(topic[after:], payload), interrupted)
        self._publisher.open()
        if self._links.servers.is_sharded:
            self._task = asyncio.create_task(
                run_again(self._run, self._subscriber.unlocated, what="bus"), name="broadcaster-bus-follow"
            )

    def subscribe(self, topic: str, ready: Callable[[], None]) -> None:
        """See `Bus.subscribe()`."""
        self._subscriber.subscribe(self._prefix + topic, ready)

    def unsubscribe(self, topic: str) -> None:
        """See `Bus.unsubscribe()`."""
        self._subscriber.unsubscribe(self._prefix + topic)

    def publish(self, topic: str, payload: bytes) -> None:
        """See `Bus.publish()`; we hear it too, where we subscribe to *topic*."""
        self._publisher.publish(self._prefix + topic, payload)

    def told(self) -> Sequence[Awaitable[None]]:
        """See `Bus.told()`."""
        return self._publisher.told()

    async def aclose(self, seconds: float) -> None:
        """See `Bus.aclose()`."""
        await self._publisher.aclose(seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._subscriber.aclose()

    async def _run(self) -> None:
        """Follow the topics of a cluster to where they live."""
        following = (self._subscriber, self._publisher)
        await follow_homes(self._links.servers, following, self._astray, seconds=2 * self._seconds)
