from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from broadcaster.errors import DeliveryError
from broadcaster.queues import _dramatiq_post
from broadcaster.queues.dramatiq import DramatiqQueue, make_broker
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.queues.contract import SECONDS, Drivers, envelope
from tests.queues.rabbitmq_server import RabbitServer
from tests.queues.workers import work, working
from tests.queues.working_program import working as program
from tests.waits import until

pytestmark = pytest.mark.usefixtures("litter")

# So that a server that does not answer keeps no test waiting.
QUICK = {"redis": "?socket_timeout=0.5", "rabbitmq": "?heartbeat=2&stack_timeout=2"}


@dataclass
class Place:
    """A broker, and a proxy before it."""

    server: Any
    proxy: Proxy
    prefix: str
    brokers: ExitStack

    def queue(self, drivers: Drivers, options: str = "") -> DramatiqQueue:
        """Return a queue that reaches the broker through the proxy."""
        url = self.server.url(self.proxy.port) + options
        # RabbitMQ has no need of it: its connections break with the process.
        quick = {"dead_after": 2.0, "look_every": 0.2} if url.startswith("redis") else {}
        broker = make_broker(url, prefix=self.prefix, **quick)
        self.brokers.callback(broker.close)
        return DramatiqQueue(drivers, broker=broker, prefix=self.prefix)


@pytest.fixture(params=["redis", "rabbitmq"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    server = request.getfixturevalue("redis_server" if request.param == "redis" else "rabbit_server")
    with Proxy(server.port) as proxy, ExitStack() as brokers:
        yield Place(server, proxy, request.node.name.partition("[")[0], brokers)


@pytest.fixture
def drivers() -> Drivers:
    return Drivers()


def test_what_a_worker_held_that_was_killed_is_delivered_once(place: Place, drivers: Drivers) -> None:
    queue = place.queue(drivers)
    queue.push([envelope(1)])
    with program(place.server.url(), place.prefix, hold=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "message-1\n"
        with working(queue):
            # It may fetch what it will never come to.
            queue.push([envelope(number) for number in range(2, 12)])

            victim.kill()

            until(lambda: len(drivers.scripted.ids) == 11)
    assert sorted(drivers.scripted.ids) == sorted(f"message-{number}" for number in range(1, 12))
    assert work(queue) == []


def test_a_broker_that_is_away_is_told_and_comes_back(place: Place, drivers: Drivers) -> None:
    queue = place.queue(drivers)
    with working(queue):
        queue.push([envelope(1)])
        until(lambda: drivers.scripted.ids)

        place.proxy.stop()
        with pytest.raises(
            DeliveryError, match="driver 'queue dramatiq': no answer from the broker"
        ) as error:
            queue.push([envelope(2)])
        place.proxy.start()
        queue.push([envelope(3)])

        # The first one again, where that it was delivered did not come through any more.
        until(lambda: set(drivers.scripted.ids) == {"message-1", "message-3"})
    assert error.value.retryable


def test_a_connection_that_ended_meanwhile_is_nothing_to_log(
    place: Place, drivers: Drivers, caplog: pytest.LogCaptureFixture
) -> None:
    queue = place.queue(drivers)
    closed = DramatiqQueue(drivers, url=place.server.url(place.proxy.port), prefix=f"{place.prefix}-2")
    for each in (queue, closed):
        each.push([envelope(1)])
    place.proxy.stop()
    place.proxy.start()

    with caplog.at_level(logging.INFO):
        closed.close()
        queue.push([envelope(2)])
        place.proxy.stop()
        with pytest.raises(DeliveryError):
            queue.push([envelope(3)])
        place.proxy.start()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert len(work(queue)) == 2


async def test_a_broker_that_does_not_answer_keeps_nobody_waiting(place: Place, drivers: Drivers) -> None:
    queue = place.queue(drivers, QUICK["redis" if isinstance(place.server, RedisServer) else "rabbitmq"])
    queue.push([envelope(1)])
    place.proxy.stall()
    started = time.monotonic()

    with pytest.raises(DeliveryError) as error:
        await queue.apush([envelope(2)])

    assert error.value.retryable
    assert time.monotonic() - started < 10
    place.proxy.resume()
    queue.push([envelope(3)])
    work(queue)
    assert [drivers.scripted.ids[0], drivers.scripted.ids[-1]] == ["message-1", "message-3"]


def test_what_was_under_way_when_the_connection_broke_is_delivered(place: Place, drivers: Drivers) -> None:
    queue = place.queue(drivers)
    blocked, reached = threading.Event(), threading.Event()
    deliver = drivers.scripted.deliver_many

    def slow(messages: Any) -> None:
        reached.set()
        assert blocked.wait(SECONDS)
        deliver(messages)

    drivers.scripted.deliver_many = slow  # type: ignore[method-assign]
    queue.push([envelope(1), envelope(2)])

    with working(queue):
        assert reached.wait(SECONDS)
        place.proxy.stop()
        blocked.set()
        until(lambda: drivers.scripted.ids)
        place.proxy.start()
        queue.push([envelope(3)])
        until(lambda: set(drivers.scripted.ids) == {"message-1", "message-2", "message-3"})

    work(queue)
    assert work(queue) == []


def test_what_redis_gave_out_and_nobody_got_is_delivered(redis_server: RedisServer, drivers: Drivers) -> None:
    with Proxy(redis_server.port) as proxy, ExitStack() as brokers:
        place = Place(redis_server, proxy, "lost", brokers)
        queue = place.queue(drivers)
        with working(queue):
            until(lambda: redis_server.client().zcard("lost:__heartbeats__"))
            queue.pause("default")
            until(lambda: not any(getattr(one, "queue_name", "") for one in threading.enumerate()))
            queue.push([envelope(1)])
            # As if the connection had broken before the answer came.
            broker: Any = queue._brokers.value
            assert broker.do_fetch("lost.default", 10)
            queue.resume("default")

            until(lambda: drivers.scripted.ids == ["message-1"])


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_what_waits_outlives_its_broker(tmp_path: Path, drivers: Drivers, kind: str) -> None:
    with ExitStack() as running:
        server: Any = (
            RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always", password=None)
            if kind == "redis"
            else RabbitServer(tmp_path)
        )
        running.enter_context(server)
        queue = DramatiqQueue(drivers, url=server.url())
        running.callback(queue.close)
        queue.push([envelope(1), envelope(2, delay=0.1)])

        server.stop()
        with pytest.raises(DeliveryError):
            queue.push([envelope(3)])
        server.start()

        queue.push([envelope(4)])
        with working(queue):
            until(lambda: sorted(drivers.scripted.ids) == ["message-1", "message-2", "message-4"])


def test_what_redis_gave_out_and_nobody_got_comes_back_also_where_little_happens(
    redis_server: RedisServer, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch = RedisBroker._dispatch
    is_lost = threading.Event()

    def losing(broker: RedisBroker, command: str) -> Any:
        answer = dispatch(broker, command)  # type: ignore[no-untyped-call]

        def ask(queue: str, *arguments: Any) -> Any:
            said = answer(queue, *arguments)
            if command == "fetch" and said and is_lost.is_set():
                is_lost.clear()
                raise redis.ConnectionError("the answer was lost")
            return said

        return ask

    monkeypatch.setattr(RedisBroker, "_dispatch", losing)
    with ExitStack() as brokers, Proxy(redis_server.port) as proxy:
        queue = Place(redis_server, proxy, "quiet", brokers).queue(drivers)
        with working(queue):
            queue.push([envelope(1)])
            until(lambda: drivers.scripted.ids == ["message-1"])
            is_lost.set()
            queue.push([envelope(2)])

            until(lambda: drivers.scripted.ids == ["message-1", "message-2"])
    assert not is_lost.is_set()


def test_who_has_its_hands_full_of_what_is_delayed_is_not_taken_for_dead(
    redis_server: RedisServer, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_dramatiq_post, "_MOST_DELAYED", 5)
    with ExitStack() as closing:
        queues: list[DramatiqQueue] = []
        for _ in range(2):
            # Longer than a worker is silent, which is a second.
            broker = make_broker(redis_server.url(), prefix="full", dead_after=3.0, look_every=0.2)
            closing.callback(broker.close)
            queues.append(DramatiqQueue(drivers, broker=broker, prefix="full"))
        first, second = queues
        first.push([envelope(number, delay=5.0) for number in range(8)])
        with working(first), working(second):
            until(lambda: len(drivers.scripted.ids) >= 8 and first.sizes() == {})

    assert len(drivers.scripted.ids) == 8
