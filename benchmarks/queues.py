"""What queues take and deliver in a second, beside the engines that they are built on, used bare."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias, cast

from benchmarks.report import Cell, Table, ratios
from benchmarks.servers import redis_server
from broadcaster import Message
from broadcaster.drivers.base import Driver
from broadcaster.queues.envelopes import Envelope, seal
from broadcaster.queues.kinds import known_queues, make_queue
from broadcaster.queues.working import WorkedQueue, WorkOptions

__all__ = ["run"]

_SECONDS = 300.0
_DATA = '{"order_id":7,"carrier":"post","price":"19.90","address":{"city":"Berlin"}}'


class _Tally:
    """Tells how fast things were done, from the first to the last of *count*."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self._first = 0.0
        self._last = 0.0
        self._all = threading.Event()
        self._lock = threading.Lock()

    def tick(self, *_: object) -> None:
        """Count one."""
        with self._lock:
            self._done += 1
            if self._done == 1:
                self._first = time.perf_counter()
            if self._done == self._count:
                self._last = time.perf_counter()
                self._all.set()

    def wait(self) -> float:
        """Wait for the last, and return how many were done in a second."""
        if not self._all.wait(_SECONDS):
            raise TimeoutError(f"{self._done} of {self._count} were done within {_SECONDS:g} s")
        return (self._count - 1) / (self._last - self._first)


Rates: TypeAlias = tuple[float, float]
"""How many were pushed in a second, one by one, and how many one worker has done in a second after that."""

Race: TypeAlias = Callable[["_Place", int], Rates]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an engine may keep what it holds: a server and a folder, both empty."""

    url: str
    folder: str


@dataclass(frozen=True, slots=True)
class _Bare:
    """An engine used without us: what that is called, how fast it is, and for how many jobs at a time.

    What starts a *server* that is not there leaves the engine out, and so does a quick run if it is *slow*.
    """

    name: str
    race: Race
    count: int
    engine: str
    server: Callable[[Path], AbstractContextManager[str]]
    slow: bool = False


def run(*, quick: bool) -> list[Table]:
    """Measure every engine that is there, ours and bare in turns."""
    rounds, share = (3, 4) if quick else (5, 1)
    pushed: list[Sequence[Cell]] = []
    done: list[Sequence[Cell]] = []
    for name, bare in _BARE.items():
        if bare.engine not in known_queues() or not _is_here(bare) or (quick and bare.slow):
            continue
        ours_too = replace(bare, race=partial(_ours, bare.engine))
        found = [(_round(ours_too, share), _round(bare, share)) for _ in range(rounds)]
        for rows, number in ((pushed, 0), (done, 1)):
            ours, theirs = ([rates[number] for rates in column] for column in zip(*found, strict=True))
            rows.append(
                (name, statistics.median(ours), bare.name, statistics.median(theirs), ratios(ours, theirs))
            )
    return [
        Table("queues: pushed one by one", ("engine", "pushes/s", "beside", "pushes/s", "ratio"), pushed),
        Table("queues: done by one worker", ("engine", "jobs/s", "beside", "jobs/s", "ratio"), done),
    ]


def _is_here(bare: _Bare) -> bool:
    if bare.server is _rabbitmq and shutil.which("rabbitmq-server") is None:
        return False
    return bare.engine in {"memory", "sqlite"} or find_spec(bare.engine) is not None


def _round(bare: _Bare, share: int) -> Rates:
    with tempfile.TemporaryDirectory() as folder, bare.server(Path(folder)) as url:
        return bare.race(_Place(url, folder), bare.count // share)


@contextmanager
def _redis(_folder: Path) -> Iterator[str]:
    with redis_server() as port:
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def _rabbitmq(folder: Path) -> Iterator[str]:
    # It needs a client of RabbitMQ, and an environment without one can measure the other engines.
    from tests.queues.rabbitmq_server import RabbitServer

    with RabbitServer(folder) as server:
        yield server.url()


def _nowhere(_folder: Path) -> AbstractContextManager[str]:
    return nullcontext("")


def _ours(engine: str, place: _Place, count: int) -> Rates:
    options: dict[str, Mapping[str, Any]] = {
        "memory": {"size": count},
        "sqlite": {"file": f"{place.folder}/queue.db"},
    }
    tally = _Tally(count)
    made = make_queue(engine, _Drivers(tally), options.get(engine, {"url": place.url}))
    envelopes = iter([[_envelope()] for _ in range(count)])
    rate = _timed(lambda: made.push(next(envelopes)), count)
    if engine != "memory":
        worker = cast("WorkedQueue", made).worker(WorkOptions(), report=lambda outcome: None)
        with _thread(worker.run, stop=worker.stop):
            return rate, tally.wait()
    finished = tally.wait()
    made.close()
    return rate, finished


def _memory(_place: _Place, count: int) -> Rates:
    tally = _Tally(count)
    held: SimpleQueue[bytes | None] = SimpleQueue()

    def work() -> None:
        while held.get() is not None:
            tally.tick()

    with _thread(work, stop=partial(held.put, None)):
        rate = _timed(lambda: held.put(_BODY), count)
        return rate, tally.wait()


def _sqlite(place: _Place, count: int) -> Rates:
    take = "DELETE FROM jobs WHERE id = (SELECT min(id) FROM jobs) RETURNING body"
    tally = _Tally(count)
    with closing(sqlite3.connect(f"{place.folder}/bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, body BLOB)")
        insert = partial(connection.execute, "INSERT INTO jobs (body) VALUES (?)", (_BODY,))
        rate = _timed(insert, count)
        while connection.execute(take).fetchall():
            tally.tick()
        return rate, tally.wait()


def _celery(place: _Place, count: int) -> Rates:
    from celery import Celery
    from celery.app.trace import setup_worker_optimizations
    from celery.worker import state

    tally = _Tally(count)
    app = Celery("bare", broker=place.url, set_as_current=False)
    app.conf.update(broker_connection_retry_on_startup=True, worker_redirect_stdouts=False)
    task = app.task(tally.tick, name="tick", ignore_result=True, shared=False)
    rate = _timed(lambda: task.delay(_BODY.decode()), count)
    controller = app.WorkController(
        pool="solo", concurrency=1, without_gossip=True, without_mingle=True, without_heartbeat=True
    )
    setup_worker_optimizations(app)
    with _thread(controller.start, stop=partial(setattr, state, "should_stop", 0)):
        finished = tally.wait()
    state.should_stop = None
    return rate, finished


def tick(_body: str) -> None:
    """Count one job of RQ's, which finds what to call by its name."""
    _counted[-1].tick()


_counted: deque[_Tally] = deque(maxlen=1)


def _rq(place: _Place, count: int) -> Rates:
    import redis
    import rq

    _counted.append(_Tally(count))
    line = rq.Queue(connection=redis.Redis.from_url(place.url))
    rate = _timed(lambda: line.enqueue(tick, _BODY.decode(), result_ttl=0), count)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    rq.SimpleWorker([line], connection=line.connection).work(burst=True, logging_level="WARNING")
    for number, handler in before.items():
        signal.signal(number, handler)
    return rate, _counted[-1].wait()


def _dramatiq(broker_class: str, place: _Place, count: int) -> Rates:
    dramatiq: Any = import_module("dramatiq")
    brokers: Any = import_module(f"dramatiq.brokers.{broker_class.removesuffix('Broker').lower()}")
    tally = _Tally(count)
    broker = getattr(brokers, broker_class)(url=place.url)
    actor = dramatiq.actor(tally.tick, actor_name="tick", broker=broker)
    rate = _timed(lambda: actor.send(_BODY.decode()), count)
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    finished = tally.wait()
    worker.stop()
    broker.close()
    return rate, finished


_BARE = {
    "memory": _Bare("queue.SimpleQueue, a thread", _memory, 20_000, "memory", _nowhere),
    "sqlite": _Bare("sqlite3, a row a job", _sqlite, 4_000, "sqlite", _nowhere),
    "dramatiq": _Bare("actor, 1 thread", partial(_dramatiq, "RedisBroker"), 2_000, "dramatiq", _redis),
    "dramatiq, RabbitMQ": _Bare(
        "actor, 1 thread", partial(_dramatiq, "RabbitmqBroker"), 2_000, "dramatiq", _rabbitmq, slow=True
    ),
    "celery": _Bare("task, solo pool", _celery, 1_000, "celery", _redis),
    "rq": _Bare("function, SimpleWorker", _rq, 1_000, "rq", _redis),
}


class _Counting(Driver):
    """Delivers to nobody, and counts."""

    name = "counting"

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally

    def deliver(self, message: Message) -> None:
        self._tally.tick()

    async def adeliver(self, message: Message) -> None:
        self._tally.tick()


class _Drivers:
    def __init__(self, tally: _Tally) -> None:
        self._driver = _Counting(tally)

    def driver(self, name: str) -> Driver:
        return self._driver


def _envelope() -> Envelope:
    return Envelope(Message("OrderShipped", ("orders.7",), _DATA), "counting", created=time.time())


def _timed(push: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        push()
    return count / (time.perf_counter() - started)


@contextmanager
def _thread(work: Callable[[], object], *, stop: Callable[[], object]) -> Iterator[None]:
    """Have a thread *work* while the block lasts."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(_SECONDS)


_BODY = seal(_envelope())
