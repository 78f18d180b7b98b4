"""Brokers of dramatiq's, set up so that what a dead worker held is handed out again soon."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from broadcaster.errors import ConfigurationError
from broadcaster.queues._dramatiq_package import (
    Middleware,
    MiddlewareError,
    RabbitmqBroker,
    RedisBroker,
    dramatiq,
)
from broadcaster.queues._pika_logs import told_once

__all__ = ["Patience", "make_broker", "worker_of"]

_PUSH_SECONDS = 10.0
_FAREWELL_SECONDS = 5.0


def make_broker(
    url: str, *, prefix: str = "broadcaster", dead_after: float = 15.0, look_every: float = 5.0
) -> dramatiq.Broker:
    """Return a broker of dramatiq's that hands out soon what a dead worker held.

    *url* is that of Redis (`redis://`, `rediss://`) or of RabbitMQ (`amqp://`, `amqps://`); options in it go
    before ours. A worker counts as dead when nothing was heard of it for *dead_after* seconds. On Redis the
    others look for that every *look_every* seconds, and ours speaks every second, so that three seconds are
    the least that makes sense; RabbitMQ notices by itself, and at once where a connection broke. *prefix*
    keeps the keys on Redis apart.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _no_url("redis://user:password@host:port/db") from None
    match parts.scheme:
        case "redis" | "rediss":
            return _redis_broker(url, prefix, dead_after, look_every)
        case "amqp" | "amqps":
            return _rabbitmq_broker(url, dead_after)
        case scheme:
            raise ConfigurationError(
                f"queue 'dramatiq' has a URL of the kind {scheme!r}; known: amqp, amqps, redis, rediss"
            )


def worker_of(broker: dramatiq.Broker) -> dramatiq.Broker:
    """Return *broker* as a worker by itself, whose consumers have to show each that they are alive.

    On Redis what was fetched belongs to a worker, and a consumer that begins anew must not change whose what
    the others have fetched is. RabbitMQ tells its consumers apart.
    """
    if not isinstance(broker, RedisBroker):
        return broker
    worker = copy(broker)
    worker.broker_id = str(uuid.uuid4())
    if isinstance(worker, _RedisBroker):
        worker.is_worker = True
    return worker


class Patience(Middleware):
    """Ends the attempts to enqueue: dramatiq makes six on RabbitMQ, each of which may take its time."""

    _until = threading.local()

    @classmethod
    @contextmanager
    def of_this_thread(cls) -> Iterator[None]:
        """Begin no attempt later than a few seconds from now."""
        cls._until.value = time.monotonic() + _PUSH_SECONDS
        try:
            yield
        finally:
            cls._until.value = math.inf

    def before_enqueue(self, broker: dramatiq.Broker, message: Any, delay: Any) -> None:
        """Raise where it is too late."""
        if time.monotonic() > getattr(self._until, "value", math.inf):
            raise _TooLateError("it takes too long")


class _TooLateError(MiddlewareError):
    """The time that enqueueing may take is over."""


def _redis_broker(url: str, prefix: str, dead_after: float, look_every: float) -> dramatiq.Broker:
    # It needs a client, and RabbitMQ does not.
    from broadcaster.drivers._redis_package import client_of

    return _RedisBroker(
        look_every=look_every,
        client=client_of(url, who="queue 'dramatiq'"),
        namespace=prefix,
        heartbeat_timeout=round(dead_after * 1_000),
        middleware=[],
    )


def _rabbitmq_broker(url: str, dead_after: float) -> dramatiq.Broker:
    options = {
        # The server waits for two of them.
        "heartbeat": max(1, round(dead_after / 2)),
        "connection_attempts": 1,
        "socket_timeout": 3,
        "stack_timeout": 5,
        "blocked_connection_timeout": _PUSH_SECONDS,
    }
    parts = urlsplit(url)
    query = urlencode(options | dict(parse_qsl(parts.query)))
    try:
        return _RabbitmqBroker(url=parts._replace(query=query).geturl(), confirm_delivery=True, middleware=[])
    except ValueError:
        raise _no_url("amqp://user:password@host:port/vhost") from None


def _no_url(form: str) -> ConfigurationError:
    # What others say of it may repeat a password.
    return ConfigurationError(f"queue 'dramatiq': 'url' is expected as {form}")


class _RabbitmqBroker(RabbitmqBroker):
    """Closes the connections of threads that have ended.

    dramatiq has one for each thread, and keeps them all: an application with a thread for each request, or
    an event loop for each event, would run out of files.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # A signal handler that sends may come in the middle.
        self._lock = threading.RLock()
        self._owned: list[tuple[threading.Thread, Any]] = []
        self._ended: deque[Any] = deque()
        self._farewell: threading.Thread | None = None

    @property
    def connection(self) -> Any:
        """The connection of this thread."""
        if getattr(self.state, "connection", None) is None:
            self._sweep()
            made = RabbitmqBroker.connection.fget(self)  # type: ignore[attr-defined]
            with self._lock:
                self._owned.append((threading.current_thread(), made))
        return self.state.connection

    @connection.deleter
    def connection(self) -> None:
        # dramatiq counts on finding what we may have taken out.
        for name, known in (("connection", self.connections), ("channel", self.channels)):
            if (mine := getattr(self.state, name, None)) is not None:
                known.add(mine)
        RabbitmqBroker.connection.fdel(self)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close the connections; one whose server does not answer is left to a thread after some seconds."""
        with self._lock:
            self._owned.clear()
            for made in self.connections.copy():
                self._forget(made)
            farewell = self._begun_farewell()
        if farewell is not None:
            farewell.join(_FAREWELL_SECONDS)

    def _sweep(self) -> None:
        """Have the connections of threads that have ended closed."""
        with self._lock:
            owned, self._owned = self._owned, []
            for thread, made in owned:
                if made not in self.connections:
                    continue  # its thread has closed it
                if thread.is_alive():
                    self._owned.append((thread, made))
                else:
                    self._forget(made)
            self._begun_farewell()

    def _begun_farewell(self) -> threading.Thread | None:
        """Return the thread that closes what has ended: nobody who pushes is to wait for a slow server."""
        if self._ended and self._farewell is None:
            farewell = threading.Thread(target=self._close_ended, daemon=True)
            with suppress(RuntimeError):  # at the end of the interpreter
                farewell.start()
                self._farewell = farewell
        return self._farewell

    def _forget(self, made: Any) -> None:
        self.connections.discard(made)
        self._ended.append(made)
        for channel in self.channels.copy():
            if channel.connection is made:
                self.channels.discard(channel)

    def _close_ended(self) -> None:
        while True:
            with self._lock:
                if not self._ended:
                    self._farewell = None
                    return
                made = self._ended.popleft()
            # The server closes those that were silent for a while.
            with suppress(Exception), told_once():
                made.close()


class _RedisBroker(RedisBroker):
    """Looks for dead workers by the clock.

    By chance, as dramatiq does it, a queue where little happens waits long, and a busy one pays often.
    """

    def __init__(self, *, look_every: float, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._look_every = look_every
        self._looked = threading.local()
        self._consumed: set[str] = set()
        self.is_worker = False
        """Whether each consumer is a worker of its own; see `worker_of()`."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> dramatiq.Consumer:
        """Consume from a queue; a second time as another worker.

        Where the connection broke, the consumer before may have fetched what it never heard of. That waits
        for the death of the worker, which would go on living.
        """
        if self.is_worker:
            return RedisBroker.consume(worker_of(self), queue_name, prefetch, timeout)  # type: ignore[arg-type]
        if queue_name in self._consumed:
            self.broker_id = str(uuid.uuid4())
        self._consumed.add(queue_name)
        return super().consume(queue_name, prefetch, timeout)

    def close(self) -> None:
        """Close the connections."""
        self.client.connection_pool.disconnect(inuse_connections=False)

    def _should_do_maintenance(self, command: str) -> int:
        # A queue is looked after by the thread that fetches from it: there is one for each.
        now = time.monotonic()
        if command != "fetch" or now < getattr(self._looked, "again", 0.0):
            return 0
        self._looked.again = now + self._look_every
        return 1
