from typing import Any

from broadcaster.drivers._redis_package import client_of
from broadcaster.queues._rq_lines import Line
from broadcaster.queues._rq_worker import LineWorker
from tests.drivers.redis_servers import RedisServer


def test_what_a_worker_left_behind_goes_before_what_waits(redis_server: RedisServer) -> None:
    client: Any = client_of(redis_server.url(), who="a test")
    line = Line("left-behind", client)
    worker = LineWorker([line], client, outcome=lambda: None, rescue=lambda body, reason: None)
    line.put("os.getpid", [("1", "one"), ("2", "two"), ("3", "three")], most=3)
    taken = line.taken(None)
    assert taken is not None
    job, _ = taken
    worker.prepare_execution(job)
    worker.prepare_job_execution(job)
    started = line.started_job_registry

    # The worker says nothing any more.
    [entry] = client.execute_command("ZRANGE", started.key, 0, -1)
    client.execute_command("ZADD", started.key, 1, entry)
    started.cleanup()

    waiting = line.get_job_ids()
    assert len(waiting) == 3
    assert waiting[0] == job.id


def test_what_was_begun_by_workers_that_are_forgotten_can_be_given_up_and_dropped(
    redis_server: RedisServer,
) -> None:
    client: Any = client_of(redis_server.url(), who="a test")
    line = Line("forgotten", client)
    worker = LineWorker([line], client, outcome=lambda: None, rescue=lambda body, reason: None)
    line.put("os.getpid", [("1", "one"), ("2", "two")], most=3)
    for registry in (line.failed_job_registry.add, None):
        taken = line.taken(None)
        assert taken is not None
        job, _ = taken
        execution = worker.prepare_execution(job)
        # The worker was killed, and after a while Redis knows nothing of what it did.
        client.delete(execution.key)
        if registry is not None:
            registry(job, ttl=60)
        else:
            client.rpush(line.key, job.id)

    assert [body for body, _ in line.given_up()] == ["1"]
    assert list(line.drop()) == ["2"]
    assert list(line.given_up()) == []
