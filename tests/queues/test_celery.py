from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from amqp.exceptions import MessageNacked  # type: ignore[import-untyped]
from celery import Celery
from celery.app.trace import setup_worker_optimizations
from celery.worker import state
from kombu import entity
from redis import Redis

from broadcaster.errors import ConfigurationError, DeliveryError
from broadcaster.queues import _celery_broker
from broadcaster.queues import celery as celery_queue
from broadcaster.queues._redis_begun import RedisBegun
from broadcaster.queues.base import Queue
from broadcaster.queues.celery import CeleryQueue
from broadcaster.queues.dramatiq import DramatiqQueue
from broadcaster.queues.envelopes import seal
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.outcomes import Verdict
from broadcaster.queues.rq import RqQueue
from broadcaster.queues.working import Size, WorkedQueue, WorkOptions
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import PASSWORD, RedisServer, TlsServer
from tests.queues.contract import SECONDS, Drivers, QueueContract, Scripted, away, envelope
from tests.queues.patience import PatienceContract
from tests.queues.rabbitmq_server import RabbitServer
from tests.queues.workers import WorkerContract, work, working
from tests.waits import until


class TestCeleryQueue(PatienceContract, QueueContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def queue(self, drivers: Drivers) -> Queue:
        return CeleryQueue(drivers, url=self.server.url())

    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, CeleryQueue)
        return queue.failed

    def working(self, queue: Queue) -> AbstractContextManager[object]:
        assert isinstance(queue, CeleryQueue)
        return working(queue)

    def due(self) -> float:
        [task] = self.server.client().lrange("broadcaster:celery:default", 0, -1)
        return float(arguments(task)[1])


class TestCeleryQueueOnRabbitmq(QueueContract):
    """The application's own Celery, and a worker of it."""

    @pytest.fixture(autouse=True)
    def _server(
        self, redis_server: RedisServer, rabbit_server: RabbitServer, request: pytest.FixtureRequest
    ) -> None:
        self.redis = redis_server.client()
        self.app = Celery("shop", broker=rabbit_server.url(), set_as_current=False)
        self.app.conf.task_default_queue = request.node.name

    def queue(self, drivers: Drivers) -> Queue:
        return CeleryQueue(drivers, app=self.app, redis=self.redis)

    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, CeleryQueue)
        return queue.failed

    @contextmanager
    def working(self, queue: Queue) -> Iterator[object]:
        controller = self.app.WorkController(
            pool="solo", without_gossip=True, without_mingle=True, without_heartbeat=True
        )
        setup_worker_optimizations(self.app, controller.hostname)
        # It looks whether it is to end whenever something happens.
        controller.timer.call_repeatedly(0.05, lambda: None)
        thread = threading.Thread(target=controller.start)
        thread.start()
        try:
            yield controller
        finally:
            state.should_stop = 0
            thread.join(SECONDS)
            state.should_stop = None
            assert not thread.is_alive()


class TestCeleryWorkers(WorkerContract):
    engine = "celery"

    def queue(self, drivers: Drivers, url: str) -> WorkedQueue:
        return CeleryQueue(drivers, url=url)


def test_the_workers_of_an_application_deliver(redis_server: RedisServer) -> None:
    notes = redis_server.client()
    queue = CeleryQueue(Drivers(), app=Celery("shop", broker=redis_server.url()))
    queue.push([envelope(1), envelope(2, delay=0.1), envelope(3, queue="mail")])
    command = [sys.executable, "-m", "celery", "-A", "tests.queues.shop", "worker"]
    options = ["--concurrency=1", "-Q", "celery,mail", "--loglevel=ERROR", "--without-mingle"]

    with subprocess.Popen(
        [*command, *options], env={**os.environ, "SHOP_REDIS": redis_server.url()}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: notes.llen("delivered") == 3)
        finally:
            process.terminate()

    assert sorted(notes.lrange("delivered", 0, -1)) == [b"message-1", b"message-2", b"message-3"]
    queue.close()


def test_what_is_due_long_after_the_visibility_timeout_comes_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_celery_broker, "_VISIBILITY", 1)
    monkeypatch.setattr(_celery_broker, "_LOOK_SECONDS", 1)
    drivers = Drivers()
    queue = CeleryQueue(drivers, url=redis_server.url())
    late, later = envelope(1, delay=2.5), envelope(2, delay=3.5)

    queue.push([late, later])

    with working(queue):
        until(lambda: len(drivers.scripted.tried) == 2)
    assert drivers.scripted.ids == ["message-1", "message-2"]
    assert drivers.scripted.tried[0][0] >= late.due


def test_what_was_given_up_is_so_again_if_the_broker_was_not_told(redis_server: RedisServer) -> None:
    redis, drivers = redis_server.client(), Drivers()
    queue = CeleryQueue(drivers, url=redis_server.url())
    queue.push([envelope(1, tries=1)])
    task = json.loads(redis.rpop("broadcaster:celery:default"))
    task["properties"]["delivery_info"]["redelivered"] = True
    begun = RedisBegun(redis, prefix="broadcaster")
    for _ in range(2):
        begun.begin([task["headers"]["id"]])

    redis.lpush("broadcaster:celery:default", json.dumps(task))
    [first] = work(queue)
    redis.lpush("broadcaster:celery:default", json.dumps(task))
    [second] = work(queue)

    assert first.verdict is second.verdict is Verdict.FAILED
    assert drivers.scripted.tried == []
    queue.close()


def test_a_worker_outlives_an_hour_without_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drivers, slept = Drivers(), 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    with RedisServer(tmp_path, password=None) as server:
        queue = CeleryQueue(drivers, url=server.url())
        server.stop()
        monkeypatch.setattr("kombu.utils.functional.sleep", sleep)

        with working(queue):
            until(lambda: slept > 3_600)
            server.start()
            queue.push([envelope(1)])
            until(lambda: drivers.scripted.delivered)
        queue.close()


def test_what_breaks_as_nobody_expects_comes_again(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drivers = Drivers()
    queue = CeleryQueue(drivers, url=redis_server.url())
    queue.push([envelope(1)])

    def breaks(body: bytes) -> Any:
        raise AttributeError(len(body))

    monkeypatch.setattr(queue._runner, "run", breaks)

    with working(queue):
        until(lambda: "a job goes back to its queue" in caplog.text)
        monkeypatch.undo()
        until(lambda: drivers.scripted.delivered)
    queue.close()

    assert drivers.scripted.ids == ["message-1"]


def test_nothing_in_the_queue_is_a_pickle(redis_server: RedisServer) -> None:
    pushed = envelope(1)
    CeleryQueue(Drivers(), url=redis_server.url()).push([pushed])

    [task] = redis_server.client().lrange("broadcaster:celery:default", 0, -1)

    assert json.loads(task)["content-type"] == "application/json"
    assert arguments(task)[0] == seal(pushed).decode()


def arguments(task: bytes) -> Any:
    return json.loads(base64.b64decode(json.loads(task)["body"]))[0]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"url": "redis://h", "app": Celery("shop", broker="redis://h")}, "an 'app' has its broker"),
        ({"app": Celery("shop", broker="amqp://h")}, "pass a client, as in CeleryQueue"),
        ({"url": "amqp://user:secret@h"}, "pass an application of yours, as in CeleryQueue"),
        ({"url": "amqp://user:secret@h", "redis": Redis()}, "'amqp' is not a scheme of Redis"),
        ({"url": "unix:///run/redis.sock"}, "'unix' is not a scheme of Redis"),
        ({"url": "redis://:secret@h:port"}, "'url' is expected as redis://"),
        ({"url": "rediss://:secret\uff03@h"}, "'url' is expected as redis://"),
    ],
)
def test_a_broker_that_cannot_be_used_is_told_without_its_password(how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        CeleryQueue(Drivers(), **how)

    assert "secret" not in str(error.value)


def test_what_celery_has_ways_of_its_own_for_is_left_to_them(redis_server: RedisServer) -> None:
    ours = CeleryQueue(Drivers(), url=redis_server.url())
    theirs = CeleryQueue(Drivers(), app=Celery("shop", broker=redis_server.url()))

    with pytest.raises(ConfigurationError, match="cannot pause 'mail'"):
        ours.pause("mail")
    with pytest.raises(ConfigurationError, match="nothing to resume for 'mail'"):
        ours.resume("mail")
    for queue, name in (("mail", "mail"), ("default", "celery")):
        with pytest.raises(ConfigurationError, match=f"purge it, as with: celery .* -Q {name}$"):
            theirs.clear(queue)
    with pytest.raises(ConfigurationError, match="start its workers, as with: celery"):
        theirs.worker(WorkOptions(), report=lambda outcome: None)
    assert theirs.sizes() == {}


def test_what_comes_again_waits_in_its_queue_whatever_its_routing_key(redis_server: RedisServer) -> None:
    app = Celery("shop", broker=redis_server.url(), set_as_current=False)
    exchange = entity.Exchange("tasks", "topic")
    app.conf.task_queues = [entity.Queue("default", exchange, routing_key="task.#")]
    app.conf.task_default_queue = "default"
    app.conf.task_default_exchange, app.conf.task_default_exchange_type = "tasks", "topic"
    app.conf.task_default_routing_key = "task.default"
    drivers = Drivers()
    drivers.scripted.errors += [away()]
    queue = CeleryQueue(drivers, app=app)
    queue.push([envelope(1, tries=2)])

    controller = app.WorkController(
        pool="solo", without_gossip=True, without_mingle=True, without_heartbeat=True
    )
    setup_worker_optimizations(app, controller.hostname)
    controller.timer.call_repeatedly(0.05, lambda: None)
    thread = threading.Thread(target=controller.start)
    thread.start()
    try:
        until(lambda: drivers.scripted.ids == ["message-1"])
    finally:
        state.should_stop = 0
        thread.join(SECONDS)
        state.should_stop = None


def test_what_ends_the_process_that_delivers_is_counted(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = redis_server.client()
    queue = CeleryQueue(Drivers(), url=redis_server.url())
    request = SimpleNamespace(id="1", delivery_info={"redelivered": True, "routing_key": "default"})

    for error in (SystemExit, RuntimeError):

        def end(*_: object, error: type[BaseException] = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(queue._runner, "run_alone", end)
            with pytest.raises(error):
                queue._outcome(request, seal(envelope()))
        assert redis.exists("broadcaster:begun:1") == (error is SystemExit)


def test_what_rabbitmq_has_not_confirmed_is_told(
    redis_server: RedisServer, rabbit_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_queue, "CONFIRM_SECONDS", 1.0)
    for option in ("socket_timeout", "socket_connect_timeout"):
        monkeypatch.setitem(_celery_broker._BOUNDED, option, 1.0)
    with Proxy(rabbit_server.port) as proxy:
        app = Celery("shop", broker=rabbit_server.url(proxy.port), set_as_current=False)
        app.conf.update(task_default_queue="unconfirmed", broker_connection_timeout=1.0)
        queue = CeleryQueue(Drivers(), app=app, redis=redis_server.client())
        queue.push([envelope(1)])
        proxy.stall()

        with pytest.raises(DeliveryError) as error:
            queue.push([envelope(2)])

        proxy.resume()
        queue.push([envelope(3)])
        queue.close()
    assert error.value.retryable


def test_a_rabbitmq_that_does_not_answer_does_not_keep_who_closes(
    redis_server: RedisServer, rabbit_server: RabbitServer
) -> None:
    with Proxy(rabbit_server.port) as proxy:
        app = Celery("shop", broker=rabbit_server.url(proxy.port), set_as_current=False)
        app.conf.update(task_default_queue="closed")
        queue = CeleryQueue(Drivers(), app=app, redis=redis_server.client())
        queue.push([envelope(1)])
        proxy.stall()

        closing = threading.Thread(target=queue.close)
        closing.start()
        closing.join(SECONDS)

        assert not closing.is_alive()


def test_two_queues_of_one_application_need_two_names(redis_server: RedisServer) -> None:
    app = Celery("shop", broker=redis_server.url(), set_as_current=False)
    CeleryQueue(Drivers(), app=app)

    with pytest.raises(ConfigurationError, match="another one of this application has the task"):
        CeleryQueue(Drivers(), app=app)
    CeleryQueue(Drivers(), app=app, prefix="news")


def test_what_rabbitmq_refuses_is_told_as_any_trouble(
    redis_server: RedisServer, rabbit_server: RabbitServer
) -> None:
    app = Celery("shop", broker=rabbit_server.url(), set_as_current=False)
    queue = CeleryQueue(Drivers(), app=app, redis=redis_server.client())

    with pytest.raises(DeliveryError, match="the broker cannot be used"), queue._broker.producer():
        raise MessageNacked

    queue.close()


def test_over_tls_nothing_goes_to_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    with TlsServer(tmp_path) as server:
        url = f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.tls_port}"
        trusting = CeleryQueue(Drivers(), url=f"{url}?ssl_ca_certs={server.ca_file}")
        suspicious = CeleryQueue(Drivers(), url=url)

        trusting.push([envelope(1)])
        with pytest.raises(DeliveryError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            suspicious.push([envelope(2)])
        sizes = trusting.sizes()
        trusting.close()
        suspicious.close()

    assert sizes == {"default": Size(1)}


@pytest.mark.parametrize(("delay", "errors"), [(60.0, 0), (0.0, 2)])
def test_an_application_that_is_eager_waits_for_nothing(
    redis_server: RedisServer, delay: float, errors: int
) -> None:
    drivers = Drivers()
    drivers.scripted = Scripted(*(away() for _ in range(errors)))
    app = Celery("eager", broker=redis_server.url())
    app.conf.task_always_eager = True
    queue = CeleryQueue(drivers, app=app)

    queue.push([envelope(1, delay=delay, tries=3, backoff=(60.0,))])

    assert drivers.scripted.ids == ["message-1"]
    queue.close()


def test_an_application_that_is_eager_is_told_what_is_lost(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Celery("eager", broker=redis_server.url())
    app.conf.task_always_eager = True
    queue = CeleryQueue(Drivers(), app=app)

    def breaks(body: bytes) -> Any:
        raise OSError("the failed store cannot be reached")

    monkeypatch.setattr(queue._runner, "run", breaks)

    with pytest.raises(DeliveryError, match="failed store cannot be reached") as error:
        queue.push([envelope(1)])

    assert error.value.retryable
    queue.close()


def test_a_client_that_decodes_is_refused(redis_server: RedisServer) -> None:
    client = Redis.from_url(redis_server.url(), decode_responses=True)

    with pytest.raises(ConfigurationError, match="queue 'celery' reads bytes"):
        CeleryQueue(Drivers(), app=Celery("shop", broker=redis_server.url()), redis=client)
    client.close()


@pytest.mark.parametrize("make", [CeleryQueue, DramatiqQueue, RqQueue])
def test_a_database_that_is_no_number_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="'url' is expected as redis://"):
        make(Drivers(), url="redis://:secret@127.0.0.1:1/shop")
