from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest

from broadcaster.errors import DeliveryError, UnencodableData
from broadcaster.messages import Message
from broadcaster.queues import memory
from broadcaster.queues.base import Queue
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.memory import MemoryQueue
from tests.programs import python
from tests.queues.contract import SECONDS, Drivers, QueueContract, Scripted, envelope
from tests.waits import until


class TestMemoryQueue(QueueContract):
    durable = False

    def queue(self, drivers: Drivers) -> Queue:
        return MemoryQueue(drivers)

    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, MemoryQueue)
        return queue.failed

    def working(self, queue: Queue) -> AbstractContextManager[None]:
        return nullcontext()


class Held(Scripted):
    """Delivers nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def deliver(self, message: Message) -> None:
        assert self.let_go.wait(SECONDS)
        super().deliver(message)


@pytest.fixture
def drivers() -> Iterator[Drivers]:
    drivers = Drivers()
    drivers.scripted = held = Held()
    yield drivers
    held.let_go.set()


def fill(queue: MemoryQueue) -> None:
    """Have the thread busy with one envelope, and two more waiting."""
    queue.push([envelope(1)])
    until(lambda: queue._held.value._running)
    queue.push([envelope(2), envelope(3)])


def let_go(drivers: Drivers) -> None:
    assert isinstance(drivers.scripted, Held)
    drivers.scripted.let_go.set()


def test_a_queue_that_is_full_says_so(drivers: Drivers) -> None:
    queue = MemoryQueue(drivers, size=2)
    fill(queue)

    with pytest.raises(DeliveryError, match="it is full") as error:
        queue.push([envelope(4)])

    assert error.value.retryable
    let_go(drivers)
    queue.close()
    assert drivers.scripted.ids == ["message-1", "message-2", "message-3"]


def test_what_is_pushed_together_is_taken_together_or_not_at_all(drivers: Drivers) -> None:
    queue = MemoryQueue(drivers, size=3)
    fill(queue)

    with pytest.raises(DeliveryError, match="it is full"):
        queue.push([envelope(4, unique="a", unique_for=60.0), envelope(5)])
    queue.push([envelope(6, unique="a", unique_for=60.0)])

    let_go(drivers)
    queue.close()
    assert drivers.scripted.ids == [f"message-{number}" for number in (1, 2, 3, 6)]


@pytest.mark.parametrize("overflow", ["raise", "wait"])
def test_more_than_it_ever_holds_is_refused_at_once_and_the_queue_goes_on(overflow: Any) -> None:
    drivers = Drivers()
    queue = MemoryQueue(drivers, size=2, overflow=overflow)

    with pytest.raises(DeliveryError, match="3 events are more than the 2 that it holds") as error:
        queue.push([envelope(number) for number in (1, 2, 3)])
    queue.push([envelope(4), envelope(5)])

    assert not error.value.retryable
    queue.close()
    assert drivers.scripted.ids == ["message-4", "message-5"]


def test_what_cannot_be_written_down_is_told_to_who_pushes_it(drivers: Drivers) -> None:
    queue = MemoryQueue(drivers)
    let_go(drivers)

    with pytest.raises(UnencodableData):
        queue.push([envelope(1, unique="file-\udcff", unique_for=60.0)])
    queue.push([envelope(2)])

    queue.close()
    assert drivers.scripted.ids == ["message-2"]


def test_what_was_lost_at_the_end_keeps_nothing_out(drivers: Drivers) -> None:
    queue = MemoryQueue(drivers, close_seconds=0.05)
    let_go(drivers)
    for number in (1, 2):
        queue.push([envelope(number, delay=60.0 * (2 - number), unique="a", unique_for=60.0)])
        queue.close()

    assert drivers.scripted.ids == ["message-2"]


def test_a_hook_that_pushes_in_its_thread_does_not_wait_for_itself(drivers: Drivers) -> None:
    queue = MemoryQueue(drivers, size=1, overflow="wait")
    let_go(drivers)
    errors: list[DeliveryError] = []
    deliver = drivers.scripted.deliver

    def deliver_and_push(message: Message) -> None:
        deliver(message)
        if message.id == "message-1":
            queue.push([envelope(2)])
            try:
                queue.push([envelope(3)])
            except DeliveryError as error:
                errors.append(error)

    drivers.scripted.deliver = deliver_and_push  # type: ignore[method-assign]
    started = time.monotonic()
    queue.push([envelope(1)])
    queue.close()

    assert drivers.scripted.ids == ["message-1", "message-2"]
    assert len(errors) == 1
    assert time.monotonic() - started < memory._WAIT_SECONDS


def test_a_queue_may_drop_what_it_has_no_room_for(drivers: Drivers, caplog: pytest.LogCaptureFixture) -> None:
    queue = MemoryQueue(drivers, size=2, overflow="drop")
    fill(queue)

    queue.push([envelope(4)])

    let_go(drivers)
    queue.close()
    assert drivers.scripted.ids == ["message-1", "message-2", "message-3"]
    assert "events dropped: 1" in caplog.text


def test_a_queue_may_wait_for_room(drivers: Drivers) -> None:
    queue = MemoryQueue(drivers, size=2, overflow="wait")
    fill(queue)
    pushing = threading.Thread(target=queue.push, args=[[envelope(4)]])

    pushing.start()
    let_go(drivers)
    pushing.join(SECONDS)

    queue.close()
    assert drivers.scripted.ids == [f"message-{number}" for number in (1, 2, 3, 4)]


def test_what_cannot_be_delivered_in_time_at_the_end_is_counted(
    drivers: Drivers, caplog: pytest.LogCaptureFixture
) -> None:
    queue = MemoryQueue(drivers, close_seconds=0.05)
    fill(queue)

    with caplog.at_level(logging.ERROR):
        queue.close()

    assert "3 events are lost" in caplog.text


def test_a_queue_that_was_closed_goes_on_with_what_comes_next() -> None:
    drivers = Drivers()
    queue = MemoryQueue(drivers)
    for number in (1, 2):
        queue.push([envelope(number)])
        queue.close()

    assert drivers.scripted.ids == ["message-1", "message-2"]


def test_at_the_end_of_the_process_what_is_due_is_delivered() -> None:
    program = """
import atexit
import logging
import sys
from broadcaster import AnonymousEvent, BroadcastManager, ShouldQueue

class Said(AnonymousEvent, ShouldQueue):
    pass

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
broadcast = BroadcastManager.from_dict({"driver": "log", "queue": "memory"})
# What is registered first is called last, after the queue's own.
atexit.register(lambda: broadcast.send(Said("goodbye", on="numbers")))
for number in range(100):
    broadcast.send(Said(f"number-{number}", on="numbers"))
"""

    written = python(program)

    assert [f"'number-{number}' on numbers" in written for number in range(100)] == [True] * 100
    assert "'goodbye' on numbers" in written


def test_what_is_sent_of_a_delivery_at_the_end_of_the_process_is_delivered_too() -> None:
    program = """
import logging
import sys
import threading
from broadcaster import AnonymousEvent, BroadcastManager, ShouldQueue
from broadcaster.signals import sent

class Said(AnonymousEvent, ShouldQueue):
    pass

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
broadcast = BroadcastManager.from_dict({"driver": "log", "queue": "memory"})

@sent.connect
def answer(manager, *, message, **_):
    if message.name == "first":
        # Until the interpreter is at its end, and waits for this delivery.
        threading.main_thread().join(20)
        broadcast.send(Said("second", on="numbers"))

broadcast.send(Said("first", on="numbers"))
"""

    written = python(program)

    assert written.count("'second' on numbers") == 1
    assert "lost" not in written


def test_the_first_event_of_a_process_may_be_sent_at_its_end() -> None:
    program = """
import atexit
import logging
import sys
from broadcaster import AnonymousEvent, BroadcastManager, ShouldQueue

class Said(AnonymousEvent, ShouldQueue):
    pass

class Late(Said):
    delay = 60

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
broadcast = BroadcastManager.from_dict({"driver": "log", "queue": "memory"})
atexit.register(lambda: broadcast.send_many([Late("late", on="numbers"), Said("goodbye", on="numbers")]))
"""

    written = python(program)

    assert written.count("'goodbye' on numbers") == 1
    assert "1 events are lost" in written


def test_where_no_thread_can_be_started_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    drivers = Drivers()
    queue = MemoryQueue(drivers)
    unique = envelope(1, unique="the-only-one", unique_for=60)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)

        with pytest.raises(DeliveryError, match="no thread to deliver them: can't start new thread") as error:
            queue.push([unique])

    assert error.value.retryable
    queue.push([replace(unique, message=replace(unique.message, id="message-2"))])
    queue.close()
    assert drivers.scripted.ids == ["message-2"]


def test_a_hook_that_closes_the_queue_takes_nothing_from_it() -> None:
    drivers = Drivers()
    queue = MemoryQueue(drivers)
    deliver = drivers.scripted.deliver_many

    def close_and_deliver(messages: Sequence[Message]) -> None:
        queue.close()
        deliver(messages)

    drivers.scripted.deliver_many = close_and_deliver  # type: ignore[method-assign]
    queue.push([envelope(1), envelope(2, delay=0.05)])

    until(lambda: drivers.scripted.ids == ["message-1", "message-2"])
    queue.close()


def test_what_is_lost_with_a_driver_that_breaks_keeps_nothing_out() -> None:
    drivers = Drivers()
    drivers.scripted.errors = [SystemExit(3)]  # type: ignore[list-item]
    queue = MemoryQueue(drivers)
    unique = {"unique": "the-only-one", "unique_for": 60}
    queue.push([envelope(1, **unique)])
    until(lambda: not drivers.scripted.errors)

    def second_is_delivered() -> bool:
        queue.push([envelope(2, **unique)])
        return bool(drivers.scripted.ids)

    until(second_is_delivered)
    queue.close()
    assert set(drivers.scripted.ids) == {"message-2"}


def test_a_process_that_forks_off_has_a_thread_of_its_own() -> None:
    drivers = Drivers()
    queue = MemoryQueue(drivers)
    queue.push([envelope(1)])
    until(lambda: drivers.scripted.ids == ["message-1"])

    child = os.fork()
    if child == 0:
        queue.push([envelope(2)])
        queue.close()
        os._exit(0 if drivers.scripted.ids == ["message-1", "message-2"] else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queue.close()


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_what_would_end_a_thread_does_not_end_the_queue(error: BaseException) -> None:
    drivers = Drivers()
    deliver = drivers.scripted.deliver

    def deliver_or_end(message: Message) -> None:
        if message.id == "message-1":
            raise error
        deliver(message)

    drivers.scripted.deliver = deliver_or_end  # type: ignore[method-assign]
    queue = MemoryQueue(drivers)
    queue.push([envelope(1)])
    until(lambda: not queue._held.value._waiting)
    queue.push([envelope(2)])

    until(lambda: drivers.scripted.delivered)
    queue.close()
    assert drivers.scripted.ids == ["message-2"]
