from __future__ import annotations

import signal
from pathlib import Path

import pytest

from broadcaster.queues import _celery_broker
from broadcaster.queues._rq_lines import Line
from tests.queues.contract import SECONDS
from tests.queues.worked_shop import SQLITE, Shop
from tests.waits import until

_DRAMATIQ = """
from functools import partial
from broadcaster.queues.dramatiq import DramatiqQueue, make_broker

broker = make_broker({url!r}, prefix={prefix!r}, dead_after=2.0, look_every=0.2)
QUEUE = partial(DramatiqQueue, broker=broker, prefix={prefix!r})
"""
# What another worker of these has to wait for is no option.
_CELERY = """
from functools import partial
from broadcaster.queues import _celery_broker
from broadcaster.queues.celery import CeleryQueue

_celery_broker._VISIBILITY = 2
_celery_broker._LOOK_SECONDS = 1
QUEUE = partial(CeleryQueue, url={url!r})
"""
_RQ = """
from functools import partial
from broadcaster.queues._rq_lines import Line
from broadcaster.queues.rq import RqQueue

Line.lease, Line.look_seconds = 3, 1
QUEUE = partial(RqQueue, url={url!r})
"""
ENGINES = {
    "sqlite": (None, SQLITE),
    "dramatiq on redis": ("redis_server", _DRAMATIQ),
    "dramatiq on rabbitmq": ("rabbit_server", _DRAMATIQ),
    "celery": ("redis_server", _CELERY),
    "rq": ("redis_server", _RQ),
}


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Return an application with each of the engines, whose workers are `broadcaster work`."""
    for holder, names in (
        (_celery_broker, ("_VISIBILITY", "_LOOK_SECONDS")),
        (Line, ("lease", "look_seconds")),
    ):
        for name in names:
            # The application changes it, also in this process.
            monkeypatch.setattr(holder, name, getattr(holder, name))
    server, queue = ENGINES[request.param]
    if server is not None:
        prefix = request.node.name.partition("[")[0]
        queue = queue.format(url=request.getfixturevalue(server).url(), prefix=prefix)
    return Shop(tmp_path, queue)


def items_of(lines: list[str]) -> list[str]:
    return sorted(line.split('"')[3] for line in lines)


def test_a_worker_ends_when_it_has_done_what_it_may(shop: Shop) -> None:
    items = [f"item-{number}" for number in range(9)]
    shop.send_from_here(*items)

    with shop.work("--max-jobs", "2") as worker:
        assert worker.wait(SECONDS) == 0
    assert len(shop.lines("delivered")) == 2
    with shop.work("--once") as worker:
        assert worker.wait(SECONDS) == 0
    assert len(shop.lines("delivered")) >= 3
    with shop.work("--stop-when-empty") as worker:
        assert worker.wait(SECONDS) == 0
    assert items_of(shop.lines("delivered")) == items


def test_a_signal_under_load_loses_nothing(shop: Shop) -> None:
    items = [*(f"at-once-{number}" for number in range(5)), *(f"wait-{number:03}" for number in range(295))]
    shop.send_from_here(*items)

    with shop.work("--concurrency", "2") as first:
        shop.until("delivered", count=5)
        first.send_signal(signal.SIGTERM)
        shop.let_go()
        assert first.wait(SECONDS) == 0
    done = len(shop.lines("delivered"))
    with shop.work("--concurrency", "2", "--stop-when-empty") as second:
        assert second.wait(SECONDS) == 0

    assert done < 300
    assert items_of(shop.lines("delivered")) == items


def test_what_a_worker_could_not_finish_is_delivered_by_another(shop: Shop) -> None:
    shop.send_from_here("wait")

    with shop.work() as killed:
        shop.until("begun")
        killed.kill()
        killed.wait(SECONDS)
    with shop.work("--grace", "0.2") as stuck:
        shop.until("begun", count=2)
        stuck.send_signal(signal.SIGTERM)
        _, errors = stuck.communicate(timeout=SECONDS)
    shop.let_go()
    with shop.work() as last:
        shop.until("delivered")

    assert stuck.returncode == 0
    assert "the time is over, and 1 events were given back to their queue" in errors
    assert [line.endswith(f"by {last.pid}") for line in shop.lines("delivered")] == [True]


def test_what_several_workers_had_no_time_to_finish_is_not_given_up_for_it(shop: Shop) -> None:
    shop.send_from_here("wait")

    for count in range(1, 5):
        with shop.work("--grace", "0.1") as worker:
            shop.until("begun", count=count)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(SECONDS) == 0
    shop.let_go()
    with shop.work():
        until(lambda: shop.lines("delivered") or shop.lines("failed"))

    assert shop.lines("failed") == []


def test_what_ends_every_worker_is_given_up_and_takes_nothing_with_it(shop: Shop) -> None:
    shop.send_from_here("first", "kill", "second")
    workers = 0

    while not shop.lines("failed"):
        workers += 1
        assert workers <= 5
        with shop.work() as worker:
            until(lambda worker=worker: worker.poll() is not None or shop.lines("failed"), every=0.05)  # type: ignore[misc]

    with shop.work():
        shop.until("delivered", "second")
    # With one try, it may end three; on RabbitMQ the first time is not counted.
    assert 3 <= len(shop.lines("begun", "kill")) <= 4
    assert "kill" in shop.lines("failed")[0]
    assert shop.lines("delivered", "first")
