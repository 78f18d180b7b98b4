"""A queue on Redis or RabbitMQ, by way of dramatiq."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from broadcaster.drivers._processes import PerProcess
from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.queues._broker_post import Fetched
from broadcaster.queues._broker_side import side_of
from broadcaster.queues._broker_worker import BrokerWorker
from broadcaster.queues._dramatiq_brokers import Patience, make_broker
from broadcaster.queues._dramatiq_package import (
    BrokerConnectionError,
    DecodeError,
    MiddlewareError,
    dramatiq,
)
from broadcaster.queues._dramatiq_post import Post, body_of
from broadcaster.queues._gate import Gate
from broadcaster.queues._pika_logs import told_once
from broadcaster.queues._threads import Threads, run_alone
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import Envelope, UnreadableEnvelope, open_envelope, seal
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.runner import Drivers, Runner, Span
from broadcaster.queues.working import Size, Worker, WorkOptions

__all__ = ["DramatiqQueue", "make_broker"]

_logger = logging.getLogger("broadcaster.queue")

_REST = 1.0

# What dramatiq accepts; it keeps what is delayed, or dead, in queues with these endings.
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9._-]{,199}(?<!\.DQ)(?<!\.XQ)", re.ASCII)


class DramatiqQueue:
    """Keeps envelopes on the broker at *url*, or on one of dramatiq's that the application has made.

    Its queues and keys begin with *prefix*. What is given up is kept by *store*: on the broker itself, unless
    that says otherwise. On RabbitMQ there is no place for the locks of unique events, which are refused.
    """

    name = "dramatiq"

    def __init__(
        self,
        drivers: Drivers,
        *,
        span: Span | None = None,
        url: str = "redis://127.0.0.1:6379",
        prefix: str = "broadcaster",
        broker: dramatiq.Broker | None = None,
        store: FailedStore | None = None,
    ) -> None:
        self._prefix = prefix
        self._threads = Threads()
        self._gate = Gate()
        self._is_ours = broker is None
        # A child would share the sockets of its parent; what the application made is not ours to make anew.
        joined = None if broker is None else self._joined(broker)
        self._brokers = PerProcess(lambda: joined or self._joined(make_broker(url, prefix=prefix)))
        self._side = side_of(self._brokers.value, prefix=prefix, queue_name=self._name_of)
        self.capabilities = Capabilities(durable=True, unique=self._side.locks is not None)
        self.failed: FailedStore = store or self._side.failed
        # What failed is kept afterwards: a store that cannot be reached must not have a delivery repeated.
        self._runner = Runner(drivers, None, release=self.release, span=span)

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.push()`; raises `ConfigurationError` for what the broker has no place for."""
        for envelope in envelopes:
            self._check(envelope)
        with self._reached():
            for envelope in envelopes:
                if self._side.locks is None or self._side.locks.take(envelope):
                    try:
                        self._enqueue(envelope, envelope.delay)
                    except BaseException:
                        with suppress(*self._trouble):
                            self.release(envelope)
                        raise

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """See `Queue.apush()`."""
        await self._threads.run(self.push, envelopes)

    def release(self, envelope: Envelope) -> None:
        """See `Queue.release()`."""
        if self._side.locks is not None:
            self._side.locks.give_back(envelope)

    def worker(self, options: WorkOptions, *, report: Callable[[Outcome], None]) -> Worker:
        """See `WorkedQueue.worker()`."""
        post = Post(
            self._brokers.value,
            self._side,
            names={queue: self._name_of(queue) for queue in options.queues},
            concurrency=options.concurrency,
            deliver=lambda bodies: self._runner.run_many((body, 0) for body in bodies),
            deliver_alone=self._runner.run_alone,
            settle=self._settle,
            reached=self._reached,
        )
        return BrokerWorker(post, Fetched(options.queues, post.held), options, report)

    def sizes(self) -> dict[str, Size]:
        """See `WorkedQueue.sizes()`; RabbitMQ tells only what is ready, in queues that this process knows."""
        with self._reached():
            return self._side.sizes()

    def clear(self, queue: str) -> int:
        """See `WorkedQueue.clear()`; what is delayed is held, where a worker runs."""
        with self._reached():
            return self._side.clear(queue, self._dropped)

    def pause(self, queue: str) -> None:
        """See `WorkedQueue.pause()`; workers hear of it within a second. Not on RabbitMQ."""
        self._name_of(queue)
        with self._reached():
            self._side.pause(queue)

    def resume(self, queue: str) -> None:
        """See `WorkedQueue.resume()`."""
        with self._reached():
            self._side.resume(queue)

    def close(self) -> None:
        """See `Queue.close()`; a broker that the application has made stays open."""
        self._threads.close()
        if self._is_ours and (broker := self._brokers.held) is not None:
            with self._gate.shut(), told_once():
                broker.close()

    async def aclose(self) -> None:
        """See `close()`."""
        await run_alone(self.close)

    @property
    def _actor_name(self) -> str:
        return f"{self._prefix}.deliver"

    def _joined(self, broker: dramatiq.Broker) -> dramatiq.Broker:
        """Tell *broker* about our actor: any worker of dramatiq's that takes from our queues can deliver."""
        # Whether an envelope is tried again is not for dramatiq to decide.
        # Nor is a delivery cut off: what it was for would be dead to dramatiq, and known to nobody else.
        wanted: dict[str, Any] = {"max_retries": 0, "time_limit": math.inf}
        options = {name: value for name, value in wanted.items() if name in broker.actor_options}
        queue = self._name_of("default")
        if self._actor_name in broker.actors:
            raise ConfigurationError(
                f"another queue 'dramatiq' delivers what is in {queue!r} of this broker; use one manager for"
                " both, or give this queue another 'prefix'"
            )
        dramatiq.actor(actor_name=self._actor_name, queue_name=queue, broker=broker, **options)(self._run)
        broker.add_middleware(Patience())
        return broker

    def _run(self, text: str) -> None:
        outcome = self._runner.run(text.encode(errors="surrogatepass"))
        while True:
            try:
                return self._settle(outcome)
            except (DeliveryError, OSError) as error:
                # Raised, it would be dead to dramatiq. Should this worker end, the event is delivered again.
                _logger.warning("a worker waits for what it needs: %s", error)
                time.sleep(_REST)

    def _settle(self, outcome: Outcome) -> None:
        if outcome.failed is not None:
            self.failed.add(outcome.failed)
        if outcome.again is not None:
            with self._reached():
                self._enqueue(outcome.again, outcome.pause)

    def _check(self, envelope: Envelope) -> None:
        self._name_of(envelope.queue)
        if envelope.unique is not None and self._side.locks is None:
            raise ConfigurationError(
                f"{envelope.event or envelope.message.name!r} is unique, and RabbitMQ has no place for its"
                " lock; use Redis, or an event that need not be unique"
            )

    def _name_of(self, queue: str) -> str:
        name = f"{self._prefix}.{queue}"
        if not queue or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"dramatiq can have no queue named {name!r}: use letters, digits, '.', '-' and '_', a letter"
                " first, neither '.DQ' nor '.XQ' at the end, and 200 of them at most"
            )
        return name

    def _enqueue(self, envelope: Envelope, delay: float) -> None:
        if isinstance(dramatiq.get_encoder(), dramatiq.PickleEncoder):
            raise ConfigurationError(
                "dramatiq.set_encoder() was given a PickleEncoder; events are queued as JSON only"
            )
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=self._name_of(envelope.queue),
            actor_name=self._actor_name,
            args=(seal(envelope).decode(),),
            kwargs={},
            options={},
        )
        self._side.note(envelope.queue)
        # A millisecond more, since dramatiq's clock has no parts of one.
        milliseconds = math.ceil(delay * 1_000) + 1 if delay > 0 else None
        with Patience.of_this_thread():
            self._brokers.value.enqueue(message, delay=milliseconds)

    def _dropped(self, message: bytes) -> None:
        try:
            self.release(open_envelope(body_of(dramatiq.Message.decode(message))))
        except (DecodeError, UnreadableEnvelope):
            return

    @property
    def _trouble(self) -> tuple[type[Exception], ...]:
        return (*self._side.trouble, BrokerConnectionError, MiddlewareError, OSError)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            with self._gate.passed(), told_once():
                yield
        except self._trouble as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise DeliveryError(
                f"no answer from the broker: {said}", driver="queue dramatiq", retryable=True
            ) from error
