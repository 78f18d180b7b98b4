from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import dramatiq
import pika
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.messages import Message
from broadcaster.queues._broker_worker import BrokerWorker
from broadcaster.queues.base import Queue
from broadcaster.queues.dramatiq import DramatiqQueue, make_broker
from broadcaster.queues.failed import Failed, FailedStore, MemoryFailedStore
from broadcaster.queues.outcomes import Verdict
from broadcaster.queues.working import Size, WorkOptions
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.forks import in_a_child
from tests.queues.contract import SECONDS, Drivers, QueueContract, Scripted, away, envelope
from tests.queues.patience import PatienceContract
from tests.queues.rabbitmq_server import RabbitServer
from tests.queues.test_worker import Gate
from tests.queues.workers import work, working
from tests.waits import until


def eta(message: bytes) -> float:
    return float(dramatiq.Message.decode(message).options["eta"]) / 1_000


def fetches(thread: threading.Thread, queue: str) -> bool:
    return f".{queue}" in getattr(thread, "queue_name", "")


class DramatiqContract(PatienceContract, QueueContract):
    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, DramatiqQueue)
        return queue.failed

    def working(self, queue: Queue) -> AbstractContextManager[Any]:
        assert isinstance(queue, DramatiqQueue)
        return working(queue)


class TestDramatiqQueueOnRedis(DramatiqContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def queue(self, drivers: Drivers) -> Queue:
        return DramatiqQueue(drivers, url=self.server.url())

    def due(self) -> float:
        [message] = self.server.client().hvals("broadcaster:broadcaster.default.DQ.msgs")
        return eta(message)


class TestDramatiqQueueOnRabbitmq(DramatiqContract):
    @pytest.fixture(autouse=True)
    def _server(self, rabbit_server: RabbitServer, request: pytest.FixtureRequest) -> None:
        self.server = rabbit_server
        self.prefix = str(request.node.name)

    def queue(self, drivers: Drivers) -> Queue:
        return DramatiqQueue(drivers, url=self.server.url(), prefix=self.prefix)

    def due(self) -> float:
        connection = pika.BlockingConnection(pika.URLParameters(self.server.url()))
        try:
            _, _, message = connection.channel().basic_get(f"{self.prefix}.default.DQ")
        finally:
            connection.close()
        return eta(message)

    def test_of_what_is_unique_one_waits_until_it_is_done_with(self, made: Queue, drivers: Drivers) -> None:
        assert not made.capabilities.unique
        with pytest.raises(ConfigurationError, match="RabbitMQ has no place for its lock"):
            made.push([envelope(1), envelope(2, unique="stock", unique_for=60.0)])

    def test_a_lock_is_given_back_when_its_event_is_given_up(self, made: Queue, drivers: Drivers) -> None:
        """There are none."""


@pytest.fixture
def drivers() -> Drivers:
    return Drivers()


@pytest.fixture(params=["redis", "rabbitmq"])
def queue(request: pytest.FixtureRequest, drivers: Drivers) -> Iterator[DramatiqQueue]:
    """Return a queue on each of the brokers, which is empty."""
    server = request.getfixturevalue("redis_server" if request.param == "redis" else "rabbit_server")
    prefix = request.node.name.partition("[")[0]
    queue = DramatiqQueue(drivers, url=server.url(), prefix=prefix)
    yield queue
    queue.close()


@pytest.fixture
def on_redis(redis_server: RedisServer, drivers: Drivers) -> Iterator[DramatiqQueue]:
    queue = DramatiqQueue(drivers, url=redis_server.url())
    yield queue
    queue.close()


def test_what_waits_in_the_first_queue_goes_before_all_else(queue: DramatiqQueue, drivers: Drivers) -> None:
    let_go, deliver = threading.Event(), drivers.scripted.deliver_many

    def held(messages: Sequence[Message]) -> None:
        assert let_go.wait(SECONDS)
        deliver(messages)

    drivers.scripted.deliver_many = held  # type: ignore[method-assign]
    queue.push([envelope(0, queue="later")])
    worker = queue.worker(WorkOptions(queues=("first", "later")), report=lambda outcome: None)
    assert isinstance(worker, BrokerWorker)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: worker._in_hand)

    for number in range(1, 11):
        queue.push([envelope(number, queue="later"), envelope(100 + number, queue="first")])
    until(lambda: worker._fetched.qsize() == 20)
    let_go.set()
    until(lambda: len(drivers.scripted.ids) == 21)

    worker.stop()
    thread.join(SECONDS)
    expected = [0, *range(101, 111), *range(1, 11)]
    assert drivers.scripted.ids == [f"message-{number}" for number in expected]


def test_what_is_ready_is_delivered_in_batches(queue: DramatiqQueue, drivers: Drivers) -> None:
    queue.push([envelope(number) for number in range(50)])

    outcomes = work(queue)

    assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED] * 50
    assert drivers.scripted.ids == [f"message-{number}" for number in range(50)]
    assert max(drivers.scripted.batches) > 10


def test_a_worker_stops_after_so_many_jobs_and_gives_back_the_others(
    queue: DramatiqQueue, drivers: Drivers
) -> None:
    queue.push([envelope(number) for number in range(30)])

    assert len(work(queue, max_jobs=7, concurrency=2)) == 7
    assert len(work(queue, once=True)) >= 1
    work(queue)

    assert sorted(drivers.scripted.ids) == sorted(f"message-{number}" for number in range(30))


def test_a_worker_stops_when_nothing_is_ready_or_its_time_is_over(queue: DramatiqQueue) -> None:
    assert work(queue) == []
    assert work(queue, once=True) == []
    assert work(queue, stop_when_empty=False, max_seconds=0.3) == []


def test_a_worker_that_is_stopped_before_it_began_ends(queue: DramatiqQueue) -> None:
    started = time.monotonic()

    for _ in range(5):
        worker = queue.worker(WorkOptions(), report=lambda outcome: None)
        worker.stop()
        worker.run()

    assert time.monotonic() - started < 10
    assert not any(fetches(thread, "default") for thread in threading.enumerate())


def test_several_threads_deliver_at_the_same_time(queue: DramatiqQueue, drivers: Drivers) -> None:
    queue.push([envelope(number) for number in range(50)])

    work(queue, concurrency=4)

    assert sorted(drivers.scripted.ids) == sorted(f"message-{number}" for number in range(50))


async def test_threads_and_coroutines_push_at_the_same_time(queue: DramatiqQueue, drivers: Drivers) -> None:
    threads = [threading.Thread(target=queue.push, args=[[envelope(number)]]) for number in range(10)]

    for thread in threads:
        thread.start()
    await asyncio.gather(*(queue.apush([envelope(number)]) for number in range(10, 20)))
    for thread in threads:
        thread.join(SECONDS)

    await asyncio.to_thread(work, queue)
    assert sorted(drivers.scripted.ids) == sorted(f"message-{number}" for number in range(20))


def test_a_process_that_forks_off_pushes_over_connections_of_its_own(
    queue: DramatiqQueue, drivers: Drivers
) -> None:
    queue.push([envelope(1)])

    status = in_a_child(lambda: queue.push([envelope(2)]))
    queue.push([envelope(3)])

    assert status == 0
    work(queue)
    assert sorted(drivers.scripted.ids) == ["message-1", "message-2", "message-3"]


@pytest.mark.parametrize("name", ["my mail", "mail/eu", "", "mail.DQ", "mail.XQ", "x" * 200, "größe", "a\n"])
def test_a_queue_that_dramatiq_cannot_name_is_refused(redis_server: RedisServer, name: str) -> None:
    queue = DramatiqQueue(Drivers(), url=redis_server.url())

    with pytest.raises(ConfigurationError, match=r"dramatiq can have no queue named 'broadcaster\."):
        queue.push([envelope(1), envelope(2, queue=name)])
    with pytest.raises(ConfigurationError, match="dramatiq can have no queue named"):
        queue.worker(WorkOptions(queues=(name,)), report=lambda outcome: None)
    assert redis_server.client().keys() == []


def test_nothing_is_pickled(on_redis: DramatiqQueue, redis_server: RedisServer) -> None:
    before = dramatiq.get_encoder()
    dramatiq.set_encoder(dramatiq.PickleEncoder())
    try:
        with pytest.raises(ConfigurationError, match="events are queued as JSON only"):
            on_redis.push([envelope()])
    finally:
        dramatiq.set_encoder(before)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "127.0.0.1:6379",
        "redis://secret@a:x",
        "amqp://secret@a:x",
        "redis://secret\uff03@a",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        make_broker(url)

    assert "secret" not in str(error.value)


def test_a_broker_for_something_else_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot use a StubBroker"):
        DramatiqQueue(Drivers(), broker=StubBroker())


def test_options_in_a_url_go_before_ours() -> None:
    broker: Any = make_broker("amqp://guest:guest@127.0.0.1?heartbeat=77")

    assert broker.parameters.heartbeat == 77
    assert broker.parameters.stack_timeout == 5


def test_workers_of_dramatiq_deliver_too(redis_server: RedisServer, drivers: Drivers) -> None:
    broker = RedisBroker(url=redis_server.url())  # type: ignore[no-untyped-call]
    queue = DramatiqQueue(drivers, broker=broker, prefix="shop", store=MemoryFailedStore())
    drivers.scripted.errors += [away()]
    queue.push([envelope(1, tries=2), envelope(2)])

    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    until(lambda: len(drivers.scripted.delivered) == 2)
    worker.stop()

    assert sorted(drivers.scripted.ids) == ["message-1", "message-2"]
    queue.close()
    assert broker.client.ping()


def test_what_is_no_envelope_counts_as_failed(on_redis: DramatiqQueue) -> None:
    on_redis._brokers.value.enqueue(
        dramatiq.Message(
            queue_name="broadcaster.default",
            actor_name="broadcaster.deliver",
            args=(7,),
            kwargs={},
            options={},
        )
    )

    [outcome] = work(on_redis)

    assert outcome.verdict is Verdict.UNREADABLE
    assert [failed.body for failed in on_redis.failed.list()] == [b"(7,)"]


def test_on_redis_the_sizes_of_all_queues_are_told(
    on_redis: DramatiqQueue, redis_server: RedisServer
) -> None:
    on_redis.push([envelope(1), envelope(2), envelope(3, queue="mail", delay=60.0)])
    on_redis.pause("news")

    another = DramatiqQueue(Drivers(), url=redis_server.url())

    assert another.sizes() == {
        "default": Size(2, 0, 0),
        "mail": Size(0, 1, 0),
        "news": Size(0, 0, 0, paused=True),
    }


def test_on_rabbitmq_the_sizes_of_known_queues_are_told(rabbit_server: RabbitServer) -> None:
    queue = DramatiqQueue(Drivers(), url=rabbit_server.url(), prefix="sizes")
    queue.push([envelope(1), envelope(2), envelope(3, queue="mail")])

    assert queue.sizes() == {"default": Size(2), "mail": Size(1)}
    queue.close()


def test_a_queue_that_is_cleared_is_empty(queue: DramatiqQueue, drivers: Drivers) -> None:
    queue.push([envelope(number) for number in range(20)])
    queue.push([envelope(1, delay=60.0), envelope(2, queue="mail")])

    assert [queue.clear("default"), queue.clear("default")] == [21, 0]
    work(queue, queues=("default", "mail"))

    assert drivers.scripted.ids == ["message-2"]


def test_what_is_cleared_gives_back_its_locks(on_redis: DramatiqQueue) -> None:
    on_redis.push([envelope(number) for number in range(600)])
    on_redis.push([envelope(1, unique="stock", unique_for=60.0)])

    assert on_redis.clear("default") == 601

    on_redis.push([envelope(2, unique="stock", unique_for=60.0)])
    assert on_redis.sizes() == {"default": Size(1, 0, 0)}


def test_from_a_queue_that_is_paused_nothing_is_taken(on_redis: DramatiqQueue, drivers: Drivers) -> None:
    on_redis.pause("mail")
    on_redis.push([envelope(1, queue="mail"), envelope(2)])

    with working(on_redis, queues=("mail", "default")):
        until(lambda: drivers.scripted.ids == ["message-2"])
        assert on_redis.sizes()["mail"] == Size(1, 0, 0, paused=True)
        on_redis.resume("mail")
        until(lambda: drivers.scripted.ids == ["message-2", "message-1"])
        on_redis.pause("mail")
        until(lambda: not any(fetches(thread, "mail") for thread in threading.enumerate()))
        on_redis.push([envelope(3, queue="mail"), envelope(4)])
        until(lambda: drivers.scripted.ids == ["message-2", "message-1", "message-4"])
        assert on_redis.sizes()["mail"].ready == 1


def test_a_push_that_fails_gives_its_lock_back(redis_server: RedisServer) -> None:
    queue = DramatiqQueue(Drivers(), url=redis_server.url())
    client = redis_server.client()
    client.execute_command("SET", "broadcaster:broadcaster.default.msgs", "no hash")

    with pytest.raises(DeliveryError) as error:
        queue.push([envelope(unique="stock", unique_for=60.0)])

    assert error.value.retryable
    assert client.keys("*:lock:*") == []


def test_workers_of_dramatiq_wait_for_a_broker_that_is_away(
    redis_server: RedisServer, drivers: Drivers
) -> None:
    with Proxy(redis_server.port) as proxy:
        broker = RedisBroker(url=redis_server.url(proxy.port))  # type: ignore[no-untyped-call]
        queue = DramatiqQueue(drivers, broker=broker, prefix="shop")

        failed = threading.Event()

        def fail(messages: Sequence[Message]) -> None:
            proxy.stop()
            drivers.scripted.deliver_many = deliver_many  # type: ignore[method-assign]
            failed.set()
            raise away()

        deliver_many = drivers.scripted.deliver_many
        drivers.scripted.deliver_many = fail  # type: ignore[method-assign]
        queue.push([envelope(1, tries=2)])

        worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
        worker.start()
        assert failed.wait(SECONDS)
        proxy.start()
        until(lambda: drivers.scripted.ids == ["message-1"])
        worker.stop()
    assert redis_server.client().keys("*.XQ*") == []


def test_on_the_broker_of_an_application_others_send_and_nobody_delivers_twice(
    redis_server: RedisServer, drivers: Drivers
) -> None:
    broker = RedisBroker(url=redis_server.url())  # type: ignore[no-untyped-call]
    queue = DramatiqQueue(drivers, broker=broker, prefix="shop")

    assert in_a_child(lambda: queue.push([envelope(1)])) == 0
    with pytest.raises(ConfigurationError, match="another queue 'dramatiq' delivers"):
        DramatiqQueue(drivers, broker=broker, prefix="shop")

    assert [outcome.verdict for outcome in work(queue)] == [Verdict.DELIVERED]


def test_what_is_in_hand_is_done_with_whatever_becomes_of_other_queues(
    on_redis: DramatiqQueue, drivers: Drivers
) -> None:
    drivers.scripted = gate = Gate()
    on_redis.push([envelope(number) for number in range(3)])

    with working(on_redis, queues=("default", "mail")):
        until(lambda: on_redis.sizes()["default"] == Size(0, 0, 3))
        on_redis.pause("mail")
        until(lambda: not any(fetches(thread, "mail") for thread in threading.enumerate()))
        on_redis.resume("mail")
        until(lambda: any(fetches(thread, "mail") for thread in threading.enumerate()))
        gate.let_go.set()
        until(lambda: len(gate.delivered) == 3)

    assert on_redis.sizes() == {}


def test_a_queue_that_is_paused_is_nothing_to_wait_for(on_redis: DramatiqQueue) -> None:
    on_redis.pause("mail")
    on_redis.push([envelope(1, queue="mail"), envelope(2)])

    assert len(work(on_redis, queues=("mail", "default"))) == 1
    assert on_redis.sizes()["mail"].ready == 1


def test_who_is_told_to_stop_leaves_to_others_what_it_has_not_begun(
    on_redis: DramatiqQueue, drivers: Drivers, redis_server: RedisServer
) -> None:
    drivers.scripted = gate = Gate()
    on_redis.push([envelope(1)])
    stopped = on_redis.worker(WorkOptions(), report=lambda outcome: None)
    thread = threading.Thread(target=stopped.run)
    thread.start()
    until(lambda: on_redis.sizes()["default"] == Size(0, 0, 1))
    on_redis.push([envelope(2), envelope(3)])
    until(lambda: on_redis.sizes()["default"] == Size(0, 0, 3))

    stopped.stop()

    others = Drivers()
    assert len(work(DramatiqQueue(others, url=redis_server.url()), max_jobs=2, stop_when_empty=False)) == 2
    assert sorted(others.scripted.ids) == ["message-2", "message-3"]
    gate.let_go.set()
    thread.join(SECONDS)
    assert on_redis.sizes() == {}


def test_a_store_that_is_away_for_a_moment_has_nothing_repeated(
    redis_server: RedisServer, drivers: Drivers
) -> None:
    class Away(MemoryFailedStore):
        refused = 0

        def add(self, failed: Failed) -> str:
            if not self.refused:
                self.refused += 1
                raise OSError("away")
            return super().add(failed)

    class Picky(Scripted):
        def deliver_many(self, messages: Sequence[Message]) -> None:
            if any(message.id == "message-3" for message in messages):
                raise DeliveryError("too large", driver="scripted", status=413)
            super().deliver_many(messages)

    drivers.scripted = Picky()
    queue = DramatiqQueue(drivers, url=redis_server.url(), store=Away())
    queue.push([envelope(number) for number in (1, 2, 3)])

    work(queue)

    assert drivers.scripted.ids == ["message-1", "message-2"]
    assert queue.failed.count() == 1


def test_on_rabbitmq_nobody_waits_for_the_farewell_to_connections_of_others(
    rabbit_server: RabbitServer,
) -> None:
    with Proxy(rabbit_server.port) as proxy:
        broker = make_broker(rabbit_server.url(proxy.port) + "?stack_timeout=1&socket_timeout=1")
        queue = DramatiqQueue(Drivers(), broker=broker, prefix="farewell")
        together = threading.Barrier(4)

        def push() -> None:
            queue.push([envelope()])
            together.wait(SECONDS)

        with ThreadPoolExecutor(4) as threads:
            for _ in range(4):
                threads.submit(push)
        proxy.stall()

        begun = time.monotonic()
        with pytest.raises(DeliveryError):
            queue.push([envelope(5)])
        took = time.monotonic() - begun

        closing = time.monotonic()
        broker.close()
        closed = time.monotonic() - closing
        proxy.break_connections()
        until(lambda: broker._farewell is None)  # type: ignore[attr-defined]
    # Each farewell would take more.
    assert took < 10
    assert closed < 10


def test_on_rabbitmq_threads_that_have_ended_leave_no_connection_behind(rabbit_server: RabbitServer) -> None:
    broker = make_broker(rabbit_server.url())
    queue = DramatiqQueue(Drivers(), broker=broker, prefix="threads")

    for number in range(5):
        thread = threading.Thread(target=queue.push, args=[[envelope(number)]])
        thread.start()
        thread.join(SECONDS)
    queue.push([envelope(5)])
    left = (len(broker.connections), len(broker.channels))  # type: ignore[attr-defined]

    assert left == (1, 1)
    assert queue.sizes() == {"default": Size(6)}
    broker.close()
