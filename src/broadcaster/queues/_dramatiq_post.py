"""A broker of dramatiq's as a worker of ours needs it: its threads fetch, and ours deliver in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from broadcaster.queues._broker_post import Consumer, Fetched, Held
from broadcaster.queues._broker_side import Begun, Side
from broadcaster.queues._broker_worker import AT_ONCE
from broadcaster.queues._dramatiq_brokers import worker_of
from broadcaster.queues._dramatiq_package import ConsumerThread, RedisBroker, dramatiq
from broadcaster.queues._pika_logs import told_once
from broadcaster.queues.outcomes import Outcome

__all__ = ["Post", "body_of"]

_logger = logging.getLogger("broadcaster.queue")

_POLL_MILLISECONDS = 100
# What is delayed a worker of dramatiq's holds until it is due. What comes behind so much has to wait for it.
_MOST_DELAYED = 10_000
_END_SECONDS = 10.0


class Post:
    """What a `BrokerWorker` asks for, of *broker* and of what is kept on its *side*.

    *reached* turns trouble with the broker into a `DeliveryError`.
    """

    def __init__(  # noqa: PLR0913 - each is asked for
        self,
        broker: dramatiq.Broker,
        side: Side,
        *,
        names: dict[str, str],
        concurrency: int,
        deliver: Callable[[Sequence[bytes]], list[Outcome]],
        deliver_alone: Callable[[bytes, int], Outcome],
        settle: Callable[[Outcome], None],
        reached: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._broker = broker
        self._side = side
        self._names = names
        # Two batches for each thread: one that it delivers, and one that is there when it is done.
        self._prefetch = min(2 * AT_ONCE * concurrency, 65_535)
        self._queues = {name: queue for queue, name in names.items()}
        self._threads: dict[str, ConsumerThread] = {}
        self._running: list[ConsumerThread] = []
        self.outlives_consumers = isinstance(broker, RedisBroker)
        # What waits here, or is in hand. A thread has another consumer after it reconnected.
        self._held: set[_Held] = set()
        self._lock = threading.Lock()
        self._reached = reached
        self.deliver = deliver
        self.deliver_alone = deliver_alone
        self.settle = settle

    def consumers(self, queue: str, fetched: Fetched) -> list[Consumer]:
        """Fetch from *queue*, and from that of what is delayed, whose messages go over into it when due."""
        name = self._names[queue]
        self._threads[name] = ready = self._thread(name, self._prefetch, fetched)
        delayed = self._thread(f"{name}.DQ", _MOST_DELAYED, fetched)
        with self._lock:
            self._running = [thread for thread in self._running if thread.is_alive()] + [ready, delayed]
        for thread in (ready, delayed):
            thread.start()
        return [_Consumer(ready), _Consumer(delayed)]

    def held(self, item: Any) -> Held:
        """Return what a thread of dramatiq's has fetched."""
        name = item.message.queue_name
        thread = self._threads[name]
        fetcher = thread.consumer if self.outlives_consumers else None
        held = _Held(item.message, self._queues[name], thread, self._reached, fetcher, self._let_go)
        with self._lock:
            self._held.add(held)
        return held

    @contextmanager
    def begun(self) -> Iterator[_Begun]:
        """Lend what counts how often envelopes are begun."""
        with self._side.begun() as begun:
            yield _Begun(begun, self._reached)

    def ready(self, queues: Iterable[str]) -> int:
        """Return how much waits in *queues*."""
        with self._reached():
            return self._side.ready(queues)

    def paused(self) -> frozenset[str]:
        """Return the queues that are paused; it is asked every second, which is a sign of life besides."""
        with self._reached():
            for consumer in self._living():
                # Any command is one. Consumers that have their hands full send none.
                consumer.broker.do_qsize(consumer.queue_name)
            return self._side.paused()

    def _living(self) -> set[Any]:
        """Return the consumers on Redis, each of which counts as a worker."""
        if not self.outlives_consumers:
            return set()
        with self._lock:
            fetchers = {held.fetcher for held in self._held} | {thread.consumer for thread in self._running}
        return fetchers - {None}

    def _let_go(self, held: _Held) -> None:
        with self._lock:
            self._held.discard(held)

    def _thread(self, name: str, prefetch: int, fetched: Fetched) -> ConsumerThread:
        return _Thread(
            broker=worker_of(self._broker),
            queue_name=name,
            prefetch=prefetch,
            work_queue=fetched,
            worker_timeout=_POLL_MILLISECONDS,
        )


class _Thread(ConsumerThread):
    """Fetches; that a connection broke, dramatiq tells by one line, and its client by twenty."""

    def run(self) -> None:
        with told_once():
            super().run()


class _Held:
    """A message that the consumer of *thread* has fetched."""

    def __init__(
        self,
        message: dramatiq.MessageProxy,
        queue: str,
        thread: ConsumerThread,
        reached: Callable[[], AbstractContextManager[None]],
        fetcher: Any,
        let_go: Callable[[_Held], None],
    ) -> None:
        self.message = message
        self.queue = queue
        self.body = body_of(message)
        self._thread = thread
        self._reached = reached
        self.fetcher = fetcher
        self._let_go = let_go

    def ack(self) -> None:
        # On Redis, that which fetched it. RabbitMQ hands out again what was fetched before a connection
        # broke, so it is the present one.
        if (consumer := self.fetcher or self._thread.consumer) is not None:
            with self._reached():
                consumer.ack(self.message)
        self.let_go()

    def let_go(self) -> None:
        """Be no more in the hands of this worker."""
        self._let_go(self)


class _Begun:
    """Counts messages that were fetched."""

    def __init__(self, begun: Begun, reached: Callable[[], AbstractContextManager[None]]) -> None:
        self._begun = begun
        self._reached = reached

    def begin(self, taken: Sequence[Any]) -> list[int]:
        with self._reached():
            return self._begun.begin([held.message for held in taken])

    def end(self, taken: Sequence[Any]) -> None:
        with self._reached():
            self._begun.end(held.message for held in taken)


class _Consumer:
    """A thread of dramatiq's that fetches."""

    def __init__(self, thread: ConsumerThread) -> None:
        self._thread = thread

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def end(self, left: Callable[[], Iterable[Held]]) -> None:
        until = time.monotonic() + _END_SECONDS
        while self._thread.is_alive() and time.monotonic() < until:
            # More than once: a thread that begins only now says after the first time that it runs.
            self._thread.stop()
            self._thread.join(0.1)
        messages: dict[Any, list[Any]] = {}
        for held in left():
            if isinstance(held, _Held):
                held.let_go()
                messages.setdefault(held.fetcher or self._thread.consumer, []).append(held.message)
        # On Redis it may have fetched some that it has not handed on yet.
        for data in getattr(self._thread.consumer, "message_cache", ()):
            message = dramatiq.MessageProxy(dramatiq.Message.decode(data))
            messages.setdefault(self._thread.consumer, []).append(message)
        try:
            for consumer, its_messages in messages.items():
                if consumer is not None:
                    consumer.requeue(its_messages)
            self._thread.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the broker hands out again what it had
            _logger.warning("a consumer could not give back what it held: %r", error)


def body_of(message: Any) -> bytes:
    """Return the envelope in a message of dramatiq's; what is none is told by whoever opens it."""
    match message.args:
        case [str() as text]:
            return text.encode(errors="surrogatepass")
        case other:
            return repr(other).encode(errors="backslashreplace")
