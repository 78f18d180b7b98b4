"""Celery as the queue: one task of ours, which takes an envelope as text."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broadcaster.drivers._redis_package import client_of, disconnect_idle, no_url, short
from broadcaster.errors import ConfigurationError, DeliveryError, MissingExtra
from broadcaster.queues._celery_broker import CONFIRM_SECONDS, Broker, settings
from broadcaster.queues._celery_transport import Connection
from broadcaster.queues._celery_worker import CeleryWorker
from broadcaster.queues._on_redis import OnRedis
from broadcaster.queues._progress import Progress
from broadcaster.queues._redis_begun import RedisBegun
from broadcaster.queues.base import Capabilities
from broadcaster.queues.envelopes import Envelope, UnreadableEnvelope, open_envelope, seal
from broadcaster.queues.outcomes import Outcome
from broadcaster.queues.redis_locks import Redis
from broadcaster.queues.runner import Drivers, Span
from broadcaster.queues.working import Size, Worker, WorkOptions

try:
    from celery import Celery
    from celery.app.trace import setup_worker_optimizations
    from celery.exceptions import Reject
    from celery.result import EagerResult
    from celery.worker import state
except ImportError as error:
    raise MissingExtra(error.name or "celery", extra="celery") from error

__all__ = ["CeleryQueue"]

_logger = logging.getLogger("broadcaster.queue")

_URL = "redis://127.0.0.1:6379"
_SCHEMES = ("redis://", "rediss://")
_AT_ONCE = 100
_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}

# A worker holds what is due later, and on Redis must not for longer than the visibility timeout, since others
# would take it as well; it is pushed again and again instead, until it is due. RabbitMQ has no such timeout,
# and ends a consumer after half an hour.
_MOST_HELD = 900.0

# What is rejected comes back at once.
_REST = 0.5


class CeleryQueue(OnRedis):
    """Pushes envelopes as tasks, to the Redis at *url* or to the broker of *app*.

    Without *app*, an application of our own keeps everything beneath *prefix*, and `broadcaster work`
    delivers. With *app*, its own workers do: the queue `default` of events is the application's default
    queue, others have the name that events give them. The locks of unique events, and what was given up, are
    on the same Redis; a broker that is none, or is not reached by its URL alone, needs a *redis* besides.
    """

    name = "celery"

    def __init__(
        self,
        drivers: Drivers,
        *,
        span: Span | None = None,
        url: str | None = None,
        prefix: str = "broadcaster",
        app: Celery | None = None,
        redis: Redis | None = None,
    ) -> None:
        if app is not None and url is not None:
            raise ConfigurationError("queue 'celery': an 'app' has its broker, so 'url' has no use")
        self.capabilities = Capabilities(durable=True, priorities=app is None)
        self._is_ours = app is None
        self._app = _application(url or _URL, prefix) if app is None else app
        self._own_redis = redis is None
        self._redis: Any = redis or client_of(_redis_url(self._app), who="queue 'celery'")
        super().__init__(drivers, self._redis, prefix=prefix, span=span)
        self._begun = RedisBegun(self._redis, prefix=prefix)
        self._broker = Broker(self._app)
        self._progress: Progress | None = None
        self._task = self._registered()

    def close(self) -> None:
        """See `Queue.close()`."""
        self._threads.close()
        self._broker.close()
        if self._own_redis:
            disconnect_idle(self._redis)

    def worker(self, options: WorkOptions, *, report: Callable[[Outcome], None]) -> Worker:
        """See `WorkedQueue.worker()`; an application's own Celery has workers already."""
        self._must_be_ours("start its workers, as with: celery -A your.module worker")
        self._progress = Progress(options, report)
        work = partial(self._work, options)
        drains = options.once or options.stop_when_empty
        is_empty = partial(self._is_empty, options.queues) if drains else None
        return CeleryWorker(
            work,
            state,
            self._progress,
            is_empty=is_empty,
            give_back=self._give_back,
            grace=options.grace,
        )

    def sizes(self) -> dict[str, Size]:
        """See `WorkedQueue.sizes()`; what workers hold is not counted, also where it is not due yet."""
        known = None if self._is_ours else list(self._app.amqp.queues)
        return {queue: Size(ready) for queue, ready in self._broker.counts(known).items() if ready}

    def clear(self, queue: str) -> int:
        """See `WorkedQueue.clear()`; the queues of an application's own Celery hold other tasks, too."""
        self._must_be_ours(f"purge it, as with: celery -A your.module purge -Q {self._name_of(queue)}")
        dropped = [body.encode() for body, *_ in self._broker.drain(queue)]
        for body in dropped:
            with suppress(UnreadableEnvelope):
                self.release(open_envelope(body))
        return len(dropped)

    def pause(self, queue: str) -> None:
        """Raise `ConfigurationError`: Celery forgets it when a worker starts."""
        raise ConfigurationError(
            f"queue 'celery' cannot pause {queue!r}: stop the workers, and what is pushed waits"
        )

    def resume(self, queue: str) -> None:
        """See `pause()`."""
        raise ConfigurationError(f"queue 'celery' cannot pause, so there is nothing to resume for {queue!r}")

    def _must_be_ours(self, remedy: str) -> None:
        if not self._is_ours:
            raise ConfigurationError(f"queue 'celery': that is for your application to do; {remedy}")

    def _is_empty(self, queues: Sequence[str]) -> bool:
        try:
            return not any(self._broker.counts(queues).values())
        except DeliveryError as error:
            _logger.warning("whether a queue is empty is not known: %s", error)
            return False

    def _work(self, options: WorkOptions) -> None:
        controller = self._app.WorkController(
            pool="solo" if options.concurrency == 1 else "threads",
            concurrency=options.concurrency,
            queues=list(options.queues),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        setup_worker_optimizations(self._app, controller.hostname)
        controller.start()
        if controller.exitcode:
            raise RuntimeError("the worker of Celery ended with an error, which its log tells")

    def _registered(self) -> Any:
        def deliver(task: Any, body: str, due: float = 0.0) -> None:
            self._deliver(task.request, body, due)

        name = f"{self._prefix}.deliver"
        if name in self._app.tasks:
            raise ConfigurationError(
                f"queue 'celery': another one of this application has the task {name!r}; use one manager for"
                " both, or give this queue another 'prefix'"
            )
        # Whatever the application wants for its other tasks.
        return self._app.task(
            deliver,
            name=name,
            shared=False,
            bind=True,
            acks_late=True,
            acks_on_failure_or_timeout=False,
            reject_on_worker_lost=True,
            ignore_result=True,
            serializer="json",
        )

    def _deliver(self, request: Any, body: str, due: float) -> None:
        """Do what the task is for."""
        progress = self._progress
        if progress is not None and not progress.claim():
            time.sleep(_REST)
            raise Reject("the worker takes no more", requeue=True)
        outcome: Outcome | None = None
        try:
            # An application in its tests has tasks done at once, and nothing then waits for a time.
            pause = 0.0 if request.is_eager else due - time.time()
            if pause > 0 and (envelope := _readable(body)) is not None:
                self._put([(envelope, pause)])
            else:
                outcome = self._outcome(request, body.encode())
                while request.is_eager and outcome.again is not None:
                    outcome = self._runner.run(seal(outcome.again))
                if outcome.again is not None:
                    self._put([(outcome.again, outcome.pause)])
        except Exception as error:
            if request.is_eager:
                raise  # to the one who pushes
            # Whatever it is: Celery would drop the job.
            is_told = isinstance(error, DeliveryError | OSError)
            _logger.warning("a job goes back to its queue: %s", error, exc_info=not is_told)
            time.sleep(_REST)
            raise Reject(str(error), requeue=True) from error
        finally:
            if progress is not None:
                progress.finish(outcome)
                if progress.is_over:
                    state.should_stop = 0

    def _outcome(self, request: Any, body: bytes) -> Outcome:
        if not request.delivery_info.get("redelivered"):
            return self._runner.run(body)
        # Another worker had it, and may have died of it.
        [begun] = self._begun.begin([request.id])
        try:
            outcome = self._runner.run_alone(body, 1 + begun)
        except Exception:
            # Not what ends the process: that has ended it.
            self._begun.end([request.id])
            raise
        # Who is killed before the broker knows that a job was given up leaves it to be given up again.
        if outcome.failed is None:
            self._begun.end([request.id])
        return outcome

    def _give_back(self, requests: Sequence[Any]) -> None:
        """Have the broker hand out again at once what workers are at, and did not die of."""
        try:
            self._begun.end(request.id for request in requests)
        except OSError as error:
            _logger.warning("they count as if a worker had died of them: %s", error)
        for request in requests:
            request.reject(requeue=True)

    def _put(self, envelopes: Sequence[tuple[Envelope, float]]) -> None:
        # A batch is not tried a second time, as what stands alone is.
        together = len(envelopes) > 1
        with (
            self._broker.producer() as producer,
            producer.batch(max_size=_AT_ONCE) if together else nullcontext(),
        ):
            for envelope, delay in envelopes:
                self._apply(producer, seal(envelope), envelope.queue, delay)

    def _apply(self, producer: Any, body: bytes, queue: str, pause: float) -> None:
        """Push *body*, which is due in *pause* seconds."""
        due = time.time() + pause if pause else 0.0
        pushed = self._task.apply_async(
            (body.decode(), due),
            countdown=min(pause, self._most_held) or None,
            queue=self._name_of(queue),
            producer=producer,
            retry_policy=_RETRY_POLICY,
            confirm_timeout=CONFIRM_SECONDS,
            # What Celery would write into its logs, otherwise.
            argsrepr="...",
        )
        if isinstance(pushed, EagerResult) and pushed.failed():
            reason = f"it was delivered at once, and that failed: {short(pushed.result)}"
            raise DeliveryError(reason, driver="queue celery", retryable=True) from pushed.result

    def _name_of(self, queue: str) -> str:
        return str(self._app.conf.task_default_queue) if queue == "default" else queue

    @property
    def _most_held(self) -> float:
        visibility: float = self._app.conf.broker_transport_options.get("visibility_timeout", 3_600)
        return min(visibility / 2, _MOST_HELD)


def _application(url: str, prefix: str) -> Celery:
    """Return an application for us alone, whatever variables and modules say about others."""
    if not url.startswith(_SCHEMES):
        raise ConfigurationError(
            f"queue 'celery': {url.partition(':')[0]!r} is not a scheme of Redis; for another broker, pass an"
            " application of yours, as in CeleryQueue(..., app=Celery(broker=...), redis=redis.Redis(...))"
        )
    app = Celery("broadcaster", set_as_current=False, fixups=())
    app.conf.update(settings(_verified(url), prefix))
    # Not `broker_transport`, before which the scheme of the URL, and TLS with it, would count for nothing.
    app.amqp.Connection = Connection
    app.amqp.autoexchange = lambda _queue: app.amqp.default_exchange
    return app


def _verified(url: str) -> str:
    """Have TLS look at the certificate, as the clients of the other queues do, where *url* says nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise no_url("queue 'celery'") from None
    if parts.scheme != "rediss" or "ssl_cert_reqs" in parse_qs(parts.query):
        return url
    return parts._replace(query="&".join(filter(None, [parts.query, "ssl_cert_reqs=required"]))).geturl()


def _readable(body: str) -> Envelope | None:
    try:
        return open_envelope(body.encode())
    except UnreadableEnvelope:
        return None


def _redis_url(app: Celery) -> str:
    """Return where the locks of *app* go."""
    url: str = app.conf.broker_write_url
    if app.conf.broker_use_ssl or not url.startswith(_SCHEMES):
        raise ConfigurationError(
            "queue 'celery': locks and what failed are kept on a Redis, and the URL of this broker does not"
            " lead to one; pass a client, as in CeleryQueue(..., redis=redis.Redis(...))"
        )
    return url
