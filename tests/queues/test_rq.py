from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from contextlib import AbstractContextManager
from typing import Any

import pytest

from broadcaster.errors import ConfigurationError
from broadcaster.queues._rq_lines import Line
from broadcaster.queues.base import Queue
from broadcaster.queues.envelopes import open_envelope, seal
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.outcomes import Verdict
from broadcaster.queues.rq import RqQueue, deliver
from broadcaster.queues.working import Size, WorkedQueue
from tests.drivers.redis_servers import RedisServer
from tests.queues.contract import SECONDS, Drivers, QueueContract, envelope
from tests.queues.patience import PatienceContract
from tests.queues.test_memory import Held
from tests.queues.workers import WorkerContract, work, working
from tests.waits import until


class TestRqQueue(PatienceContract, QueueContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def queue(self, drivers: Drivers) -> Queue:
        return RqQueue(drivers, url=self.server.url())

    def failed(self, queue: Queue) -> FailedStore:
        assert isinstance(queue, RqQueue)
        return queue.failed

    def working(self, queue: Queue) -> AbstractContextManager[object]:
        assert isinstance(queue, RqQueue)
        return working(queue)

    def due(self) -> float:
        [(_, due)] = self.server.client().zrange("rq:scheduled:broadcaster:default", 0, -1, withscores=True)
        return float(due)


class TestRqWorkers(WorkerContract):
    engine = "rq"

    def queue(self, drivers: Drivers, url: str) -> WorkedQueue:
        return RqQueue(drivers, url=url)


def test_the_workers_of_an_application_deliver(redis_server: RedisServer) -> None:
    notes = redis_server.client()
    queue = RqQueue(Drivers(), connection=redis_server.client(), job="tests.queues.shop.deliver")
    queue.push([envelope(1), envelope(2, delay=0.1)])
    command = [
        shutil.which("rq") or "rq",
        "worker",
        "--url",
        redis_server.url(),
        "--with-scheduler",
        "--quiet",
    ]
    options = ["--serializer", "rq.serializers.JSONSerializer", "broadcaster:default"]

    with subprocess.Popen(
        [*command, *options], env={**os.environ, "SHOP_REDIS": redis_server.url()}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: notes.llen("delivered") == 2)
        finally:
            process.terminate()

    assert notes.lrange("delivered", 0, -1) == [b"message-1", b"message-2"]


def test_a_worker_that_does_not_know_the_drivers_says_so_and_loses_nothing(redis_server: RedisServer) -> None:
    queue = RqQueue(Drivers(), url=redis_server.url())
    queue.push([envelope(1)])

    with pytest.raises(ConfigurationError, match=r"only `broadcaster work` knows the drivers"):
        deliver("{}")
    command = [shutil.which("rq") or "rq", "worker", "--url", redis_server.url(), "--burst", "--quiet"]
    options = ["--serializer", "rq.serializers.JSONSerializer", "broadcaster:default"]
    subprocess.run([*command, *options], capture_output=True, timeout=SECONDS, check=True)

    with working(queue):
        [given_up] = until(queue.failed.list)
    assert "only `broadcaster work` knows the drivers" in given_up.reason
    assert open_envelope(given_up.body).message.id == "message-1"


def test_what_takes_longer_than_the_lease_comes_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # RQ counts whole seconds, and a busy machine may let a heartbeat wait for one.
    monkeypatch.setattr(Line, "lease", seconds := 4)
    monkeypatch.setattr(Line, "look_seconds", 0)
    client, drivers = redis_server.client(), Drivers()
    drivers.scripted = held = Held()
    queue = RqQueue(drivers, url=redis_server.url())
    queue.push([envelope(1)])

    def lease() -> float:
        return max(
            (until for _, until in client.zrange("rq:wip:broadcaster:default", 0, -1, withscores=True)),
            default=0,
        )

    with working(queue, concurrency=2):
        first = until(lease)
        until(lambda: lease() > first + seconds)
        held.let_go.set()
        until(lambda: held.delivered)
    assert len(held.tried) == 1


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_worker_that_slept_leaves_its_job_to_the_one_that_has_it_now(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, *, has_ended: bool
) -> None:
    client = redis_server.client()
    sleeper, successor = Held(), Held()
    queues = []
    for driver in (sleeper, successor):
        drivers = Drivers()
        drivers.scripted = driver
        queues.append(RqQueue(drivers, url=redis_server.url()))
    queues[0].push([envelope(1)])

    def begun() -> list[str]:
        return [name.decode() for name in client.zrange("rq:wip:broadcaster:default", 0, -1)]

    with working(queues[0]) as outcomes:
        [first] = until(begun)
        job = f"rq:job:{first.partition(':')[0]}"
        until(lambda: client.hget(job, "status") == b"started")
        # Nothing was heard of it for as long as its lease lasts.
        client.zadd("rq:wip:broadcaster:default", {first: 1})
        with working(queues[1]):
            until(lambda: (names := begun()) and first not in names)
            if has_ended:
                successor.let_go.set()
                until(lambda: not client.exists(job))
            sleeper.let_go.set()
            until(lambda: outcomes)
            is_left = bool(client.exists(job))
            successor.let_go.set()
            queues[0].push([envelope(2)])
            until(lambda: {*sleeper.ids, *successor.ids} == {"message-1", "message-2"})
    assert is_left != has_ended
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert "another worker has" in caplog.text
    assert client.keys("rq:job:*") == []


def test_a_queue_is_paused_and_resumed(redis_server: RedisServer) -> None:
    drivers = Drivers()
    queue = RqQueue(drivers, url=redis_server.url())
    queue.pause("mail")
    queue.push([envelope(1, queue="mail"), envelope(2)])

    with working(queue, queues=("mail", "default")):
        until(lambda: drivers.scripted.delivered)
        sizes = queue.sizes()
        queue.resume("mail")
        until(lambda: len(drivers.scripted.delivered) == 2)

    assert sizes["mail"] == Size(1, 0, 0, paused=True)
    assert drivers.scripted.ids == ["message-2", "message-1"]


def hand_on(body: str) -> None:
    """Do what a job of an application's own does."""
    QUEUES[-1].run(body)


QUEUES: list[RqQueue] = []


def test_a_worker_of_ours_tells_what_jobs_of_an_application_came_to(redis_server: RedisServer) -> None:
    queue = RqQueue(Drivers(), url=redis_server.url(), job=f"{__name__}.hand_on")
    QUEUES.append(queue)
    queue.push([envelope(1), envelope(2)])

    outcomes = work(queue, max_jobs=2)

    assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED] * 2


def test_what_waits_for_its_time_is_counted_and_dropped(redis_server: RedisServer) -> None:
    queue = RqQueue(Drivers(), url=redis_server.url())
    queue.push([envelope(1, delay=60.0), envelope(2)])

    assert queue.sizes() == {"default": Size(1, 1, 0)}
    assert queue.clear("default") == 2
    assert queue.sizes() == {}
    assert redis_server.client().keys("rq:job:*") == []


def test_what_is_done_leaves_nothing_in_redis(redis_server: RedisServer) -> None:
    queue = RqQueue(Drivers(), url=redis_server.url())
    queue.push([envelope(number) for number in range(3)])

    work(queue, stop_when_empty=True)

    assert redis_server.client().keys("rq:job:*") + redis_server.client().keys("rq:results:*") == []


def test_nothing_in_the_queue_is_a_pickle(redis_server: RedisServer) -> None:
    pushed, client = envelope(1), redis_server.client()
    RqQueue(Drivers(), url=redis_server.url()).push([pushed])

    [job] = client.keys("rq:job:*")

    called = json.loads(zlib.decompress(client.hget(job, "data")))
    assert called == ["broadcaster.queues.rq.deliver", None, [seal(pushed).decode()], {}]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"url": "redis://h", "connection": object()}, "a 'connection' leads somewhere"),
        ({"url": "amqp://user:secret@h"}, "'url' is expected as redis://"),
        ({"url": "redis://:secret\uff03@h"}, "'url' is expected as redis://"),
    ],
)
def test_a_redis_that_cannot_be_used_is_told_without_its_password(how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        RqQueue(Drivers(), **how)

    assert "secret" not in str(error.value)


def test_workers_of_rqs_own_are_paused_with_its_own_command() -> None:
    queue = RqQueue(Drivers(), job="shop.jobs.deliver")

    with pytest.raises(ConfigurationError, match="cannot pause 'mail' alone"):
        queue.pause("mail")


def test_what_is_delayed_does_not_wait_for_a_delivery_that_takes_long(redis_server: RedisServer) -> None:
    busy, idle = Drivers(), Drivers()
    busy.scripted = held = Held()
    queue = RqQueue(busy, url=redis_server.url())
    queue.push([envelope(1)])
    with working(queue):
        # It has the locks of what is due, and its hands full.
        until(lambda: queue.sizes() == {"default": Size(0, 0, 1)})
        queue.push([envelope(2, delay=0.1)])
        with working(RqQueue(idle, url=redis_server.url())):
            until(lambda: idle.scripted.ids == ["message-2"])
        held.let_go.set()
