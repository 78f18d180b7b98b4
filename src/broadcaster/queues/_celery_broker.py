"""The broker of a Celery application: connections that wait for nothing long, and what waits there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from broadcaster.drivers._processes import PerProcess
from broadcaster.drivers._redis_package import TROUBLE, short
from broadcaster.errors import DeliveryError
from broadcaster.queues._celery_transport import KombuError, LimitExceeded, ProducerPool, close_idle
from broadcaster.queues._gate import Gate

__all__ = ["CONFIRM_SECONDS", "Broker", "settings"]

CONFIRM_SECONDS = 5.0
"""How long RabbitMQ may take to confirm what was pushed."""

_CONNECTIONS = 16
_TIMEOUT = 5.0
_BOUNDED = {
    "socket_timeout": _TIMEOUT,
    "socket_connect_timeout": _TIMEOUT,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
    # For RabbitMQ: what it has not confirmed may get lost with the connection.
    "confirm_publish": True,
}

# Redis gives a job to another worker when the first has not finished it after this many seconds. What takes
# longer is delivered twice, so it is more than a driver waits, its own retries included.
_VISIBILITY = 60
_LOOK_SECONDS = 5


class Broker:
    """The broker of *app*, as threads and processes that fork off may use it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._pools = PerProcess(self._opened)
        self._gate = Gate()

    @contextmanager
    def producer(self) -> Iterator[Any]:
        """Lend a producer; what it raises becomes a `DeliveryError`."""
        with self._gate.passed(), self._lent() as producer:
            yield producer

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        pool = self._pools.value
        of_broker = pool.connections.connection
        trouble = (
            *(KombuError, *TROUBLE, *of_broker.connection_errors, *of_broker.channel_errors),
            # Among them that RabbitMQ refused what it was to confirm.
            *of_broker.recoverable_connection_errors,
        )
        try:
            with pool.acquire(block=True, timeout=_TIMEOUT) as producer:
                yield producer
        except LimitExceeded as error:
            reason = f"each of its {_CONNECTIONS} connections is in use, and the broker is slow to answer"
            raise DeliveryError(reason, driver="queue celery", retryable=True) from error
        except trouble as error:
            reason = f"the broker cannot be used: {short(error)}"
            raise DeliveryError(reason, driver="queue celery", retryable=True) from error

    def counts(self, queues: Iterable[str] | None = None) -> Mapping[str, int]:
        """Return how many tasks wait in each of *queues*; without them, of all that this broker knows."""
        with self._channel() as channel:
            if queues is None:
                queues = sorted(
                    {name for *_, name in channel.get_table(self._app.conf.task_default_exchange)}
                )
            return {queue: _count(channel, queue) for queue in queues}

    def drain(self, queue: str) -> Iterator[Any]:
        """Take everything out of *queue*, and yield the arguments of each task."""
        with self._channel() as channel:
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                yield message.payload[0]

    def close(self) -> None:
        """Close the connections of this process; what comes next opens new ones."""
        with self._gate.shut():
            if (pool := self._pools.dropped()) is not None:
                close_idle(pool.connections)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        # One of its own: RabbitMQ closes a channel that asks for a queue which is not there.
        with self.producer() as producer:
            try:
                opened = producer.connection.channel()
            except AttributeError as error:
                # What kombu comes to with a connection that it has closed because the broker was away.
                self.close()
                reason = "the broker cannot be used: its connection was closed"
                raise DeliveryError(reason, driver="queue celery", retryable=True) from error
            with opened as channel:
                yield channel

    def _opened(self) -> Any:
        connections = self._app.connection_for_write(transport_options=_BOUNDED).Pool(_CONNECTIONS)
        producer = self._app.amqp.Producer
        return ProducerPool(connections, _CONNECTIONS, Producer=producer)


def settings(url: str, prefix: str) -> dict[str, Any]:
    """Return the settings of an application of our own: a Redis at *url*, its keys beneath *prefix*."""
    return {
        "accept_content": ["json"],
        # After a hundred attempts, some 47 minutes, a worker would end.
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": _TIMEOUT,
        # Not `broker_url`, before which Celery takes that of a variable of its own.
        "broker_read_url": url,
        "broker_write_url": url,
        "broker_transport_options": {
            **_BOUNDED,
            # What other applications keep on that Redis is not for our workers to give out again.
            "global_keyprefix": f"{prefix}:celery:",
            # Nothing of ours has a priority.
            "priority_steps": [0],
            "queue_order_strategy": "priority",
            "unacked_restore_interval": _LOOK_SECONDS,
            "visibility_timeout": _VISIBILITY,
        },
        # The exchange has the list of the queues.
        "task_default_exchange": "events",
        "task_default_queue": "default",
        # Its connection wakes a worker whose acknowledgement was lost when Redis went away; that one would
        # wait for it for ever, and take nothing else.
        "worker_enable_remote_control": True,
        "worker_prefetch_multiplier": 1,
    }


def _count(channel: Any, queue: str) -> int:
    broker = channel.connection.client
    # On Redis, kombu looks for a queue without the prefix of its keys, and a declaration changes nothing.
    is_passive = broker.transport.driver_type != "redis"
    try:
        return int(channel.queue_declare(queue, passive=is_passive).message_count)
    except broker.channel_errors:
        return 0
