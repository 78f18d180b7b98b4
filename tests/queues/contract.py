"""What every queue keeps, shown with drivers that fail as they are told to."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from broadcaster.drivers.base import Driver
from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.messages import Message
from broadcaster.queues.base import Queue
from broadcaster.queues.envelopes import Envelope, open_envelope
from broadcaster.queues.failed import FailedStore
from tests.waits import until

__all__ = ["SECONDS", "Drivers", "QueueContract", "Scripted", "envelope"]

SECONDS = 20.0


def envelope(number: int = 1, **how: Any) -> Envelope:
    """Return an envelope of the driver `scripted`, created now."""
    message = Message("Counted", ("numbers",), f'{{"number":{number}}}', id=f"message-{number}")
    return Envelope(message, "scripted", **{"created": time.time(), **how})


class Scripted(Driver):
    """Fails as often as *errors* says, one after the other, and then delivers; keeps what it is given."""

    def __init__(self, *errors: DeliveryError) -> None:
        self.errors = list(errors)
        self.tried: list[tuple[float, str]] = []
        self.delivered: list[Message] = []
        self.batches: list[int] = []

    def deliver(self, message: Message) -> None:
        self.deliver_many([message])

    async def adeliver(self, message: Message) -> None:
        self.deliver_many([message])

    def deliver_many(self, messages: Sequence[Message]) -> None:
        self.batches.append(len(messages))
        self.tried += [(time.time(), message.id) for message in messages]
        if self.errors:
            raise self.errors.pop(0)
        self.delivered += messages

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        self.deliver_many(messages)

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.delivered]


class Drivers:
    """Where a queue finds its drivers."""

    def __init__(self) -> None:
        self.scripted = Scripted()

    def driver(self, name: str) -> Driver:
        if name != "scripted":
            raise ConfigurationError(f"no driver named {name!r}")
        return self.scripted


class QueueContract(ABC):
    """Subclass it; `queue()` makes one, and `working()` has a worker deliver what it holds."""

    durable: ClassVar[bool] = True

    @abstractmethod
    def queue(self, drivers: Drivers) -> Queue:
        """Return a queue that is empty."""

    @abstractmethod
    def failed(self, queue: Queue) -> FailedStore:
        """Return where it keeps what was given up."""

    @abstractmethod
    def working(self, queue: Queue) -> AbstractContextManager[object]:
        """Deliver what *queue* holds while the block lasts."""

    @pytest.fixture
    def drivers(self) -> Drivers:
        return Drivers()

    @pytest.fixture
    def made(self, drivers: Drivers) -> Iterator[Queue]:
        queue = self.queue(drivers)
        yield queue
        queue.close()

    def test_what_is_pushed_is_delivered_as_it_was(self, made: Queue, drivers: Drivers) -> None:
        message = Message("Said", ("a", "private-b"), '{"text":"zoë \\u0000"}', "1.2", "an-id")

        made.push([Envelope(message, "scripted", created=time.time())])

        with self.working(made):
            until(lambda: drivers.scripted.delivered)
        assert drivers.scripted.delivered == [message]

    def test_what_is_pushed_is_delivered_in_order(self, made: Queue, drivers: Drivers) -> None:
        made.push([envelope(number) for number in range(20)])
        for number in range(20, 40):
            made.push([envelope(number)])

        with self.working(made):
            until(lambda: len(drivers.scripted.delivered) == 40)
        assert drivers.scripted.ids == [f"message-{number}" for number in range(40)]

    async def test_coroutines_push_as_well(self, made: Queue, drivers: Drivers) -> None:
        await made.apush([envelope()])

        with self.working(made):
            until(lambda: drivers.scripted.delivered)
        assert drivers.scripted.ids == ["message-1"]

    async def test_what_fills_the_threads_of_a_loop_does_not_keep_it_waiting(self, made: Queue) -> None:
        """An application's functions, say, which wait there for an event that they send."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))

        def push() -> None:
            asyncio.run_coroutine_threadsafe(made.apush([envelope()]), loop).result(SECONDS)

        await asyncio.to_thread(push)
        await made.aclose()

    def test_a_queue_that_was_closed_takes_what_comes_next(self, made: Queue, drivers: Drivers) -> None:
        made.push([envelope(1)])
        made.close()
        made.push([envelope(2)])
        made.close()

        with self.working(made):
            until(lambda: len(drivers.scripted.delivered) == 2)
        assert drivers.scripted.ids == ["message-1", "message-2"]

    def test_who_closes_it_takes_nothing_from_threads_that_push(self, made: Queue, drivers: Drivers) -> None:
        with ThreadPoolExecutor(3) as threads:
            pushed = [threads.submit(made.push, [envelope(number)]) for number in range(30)]
            while wait(pushed, timeout=0.01).not_done:
                made.close()
        for one in pushed:
            one.result()

        with self.working(made):
            until(lambda: len(set(drivers.scripted.ids)) == 30)

    def test_what_is_delayed_waits(self, made: Queue, drivers: Drivers) -> None:
        late, early = envelope(1, delay=0.3), envelope(2)

        made.push([late, early])

        with self.working(made):
            until(lambda: len(drivers.scripted.delivered) == 2)
        assert drivers.scripted.ids == ["message-2", "message-1"]
        assert drivers.scripted.tried[1][0] >= late.due

    def test_what_may_succeed_later_is_tried_again(self, made: Queue, drivers: Drivers) -> None:
        drivers.scripted.errors += [away(), away()]

        made.push([envelope(tries=3, backoff=(0.05, 0.2))])

        with self.working(made):
            until(lambda: drivers.scripted.delivered)
        first, second, third = [at for at, _ in drivers.scripted.tried]
        assert second - first >= 0.04
        assert third - second >= 0.16
        assert self.failed(made).count() == 0

    def test_what_is_tried_too_often_is_given_up_and_can_be_sent_again(
        self, made: Queue, drivers: Drivers
    ) -> None:
        drivers.scripted.errors += [away(), away()]

        made.push([envelope(tries=2, backoff=(0.01,))])

        with self.working(made):
            [given_up] = until(lambda: self.failed(made).list())
            made.push([again(given_up.body)])
            until(lambda: drivers.scripted.delivered)
        assert "is away" in given_up.reason
        assert (given_up.name, given_up.driver, given_up.queue) == ("Counted", "scripted", "default")

    def test_what_cannot_succeed_is_given_up_at_once(self, made: Queue, drivers: Drivers) -> None:
        drivers.scripted.errors += [DeliveryError("too large", driver="scripted", status=413)]

        made.push([envelope(tries=5)])

        with self.working(made):
            until(lambda: self.failed(made).count())
        assert len(drivers.scripted.tried) == 1

    def test_a_driver_that_nobody_knows_is_told(self, made: Queue) -> None:
        made.push([replace(envelope(), driver="nobody")])

        with self.working(made):
            [given_up] = until(lambda: self.failed(made).list())
        assert "no driver named 'nobody'" in given_up.reason

    def test_what_is_stale_is_not_delivered(self, made: Queue, drivers: Drivers) -> None:
        made.push([envelope(1, expires=time.time() - 1), envelope(2)])

        with self.working(made):
            until(lambda: drivers.scripted.delivered)
        assert drivers.scripted.ids == ["message-2"]
        assert self.failed(made).count() == 0

    def test_of_what_is_unique_one_waits_until_it_is_done_with(self, made: Queue, drivers: Drivers) -> None:
        made.push([envelope(number, unique="stock", unique_for=60.0) for number in (1, 2)])
        made.push([envelope(3, unique="price", unique_for=60.0)])

        with self.working(made):
            until(lambda: len(drivers.scripted.delivered) == 2)
            until(lambda: self._delivers(made, drivers, 4))
        assert _each_once(drivers.scripted.ids) == ["message-1", "message-3", "message-4"]

    def test_a_lock_is_given_back_when_its_event_is_given_up(self, made: Queue, drivers: Drivers) -> None:
        drivers.scripted.errors += [DeliveryError("too large", driver="scripted", status=413)]
        made.push([envelope(1, unique="stock", unique_for=60.0)])

        with self.working(made):
            until(lambda: self.failed(made).count())
            until(lambda: self._delivers(made, drivers, 2))
        assert _each_once(drivers.scripted.ids) == ["message-2"]

    def _delivers(self, queue: Queue, drivers: Drivers, number: int) -> bool:
        """Push an envelope that wants the lock; whether one like it came through, more than one perhaps."""
        queue.push([envelope(number, unique="stock", unique_for=60.0)])
        return f"message-{number}" in drivers.scripted.ids


def _each_once(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def away() -> DeliveryError:
    """Return what a driver says whose peer may come back."""
    return DeliveryError("the peer is away", driver="scripted", retryable=True)


def again(body: bytes) -> Envelope:
    """Return what was given up as if it had never been tried."""
    return replace(open_envelope(body), attempt=1, delay=0.0)
