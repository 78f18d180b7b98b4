"""What a queue keeps on RabbitMQ beside its messages; the one module that imports its client."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from broadcaster.errors import ConfigurationError, MissingExtra
from broadcaster.queues._broker_post import SUSPECT
from broadcaster.queues.failed import Failed, FailedStore
from broadcaster.queues.redis_locks import RedisLocks
from broadcaster.queues.working import Size

try:
    import pika
    from pika import exceptions
    from pika.adapters.utils.connection_workflow import AMQPConnectorException
except ImportError as error:
    raise MissingExtra(error.name or "pika", extra="dramatiq") from error

__all__ = ["RabbitFailedStore", "RabbitSide"]

_BEGUN_MILLISECONDS = 86_400_000

_TROUBLE: tuple[type[Exception], ...] = (exceptions.AMQPError, AMQPConnectorException, OSError)


class RabbitSide:
    """What failed, and how much waits; *parameters* are those of the broker.

    RabbitMQ has no place for locks, and nothing that says which queues there are, or that one is paused.
    """

    trouble: tuple[type[Exception], ...] = _TROUBLE
    locks: RedisLocks | None = None

    def __init__(self, parameters: Any, *, prefix: str, queue_name: Callable[[str], str]) -> None:
        self._parameters = parameters
        self._prefix = prefix
        self._queue_name = queue_name
        self._known = {"default"}
        self.failed: FailedStore = RabbitFailedStore(parameters, prefix=prefix)

    @contextmanager
    def begun(self) -> Iterator[_Begun]:
        """Lend what counts, which connects where it has to."""
        begun = _Begun(self._parameters, self._prefix)
        try:
            yield begun
        finally:
            begun.close()

    def note(self, queue: str) -> None:
        """Remember that there is *queue*, in this process."""
        self._known.add(queue)

    def sizes(self) -> dict[str, Size]:
        """Return the size of each queue that this process knows, and that has something."""
        sizes = {queue: Size(self.ready([queue])) for queue in sorted(self._known)}
        return {queue: size for queue, size in sizes.items() if size.ready}

    def ready(self, queues: Iterable[str]) -> int:
        """Return how much waits in *queues* for a worker."""
        with _connected(self._parameters) as connection:
            return sum(_count(connection, self._queue_name(queue)) for queue in queues)

    def clear(self, queue: str, dropped: Callable[[bytes], None]) -> int:
        """Drop what waits in *queue*."""
        name = self._queue_name(queue)
        with _connected(self._parameters) as connection:
            names = [one for one in (name, f"{name}.DQ") if _count(connection, one)]
            return sum(int(connection.channel().queue_purge(one).method.message_count) for one in names)

    def pause(self, queue: str) -> None:
        """Say that it cannot be done."""
        raise ConfigurationError(
            f"queue {queue!r} cannot be paused on RabbitMQ, which has no place to say so; stop its workers"
        )

    resume = pause

    def paused(self) -> frozenset[str]:
        """Return nothing."""
        return frozenset()


class _Begun:
    """Counts those that were handed out again, in a queue with an empty message for each time.

    RabbitMQ hands out again as well what a worker had fetched, and not begun. So they are begun together
    once, on account of the first: should that end a worker, they come in the same order, and one by one.
    """

    def __init__(self, parameters: Any, prefix: str) -> None:
        self._parameters = parameters
        # With a colon, so that it is the name of no queue of ours.
        self._prefix = f"{prefix}:begun:"
        self._channel: Any = None

    def begin(self, messages: Sequence[Any]) -> list[int]:
        again = [message.message_id for message in messages if message.redelivered]
        count = self._counted(again[0], always=len(messages) == 1) if again else 0
        lost = 1 + count if len(messages) == 1 else SUSPECT if count else 0
        return [lost if message.redelivered else 0 for message in messages]

    def end(self, messages: Iterable[Any]) -> None:
        for message in messages:
            if message.redelivered:
                # Where nothing was counted there is no such queue, and RabbitMQ does not mind.
                self._opened().queue_delete(self._prefix + message.message_id)

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(*_TROUBLE):
                channel.connection.close()

    def _counted(self, message_id: str, *, always: bool) -> int:
        """Return how often that one was begun; begin it if it never was, or *always*."""
        channel, name = self._opened(), self._prefix + message_id
        declared = channel.queue_declare(name, durable=True, arguments={"x-expires": _BEGUN_MILLISECONDS})
        count = int(declared.method.message_count)
        if always or not count:
            channel.basic_publish("", name, b"")
        return count

    def _opened(self) -> Any:
        # Nobody looks after its heartbeats during a long delivery.
        if self._channel is None or not self._channel.is_open:
            self.close()
            self._channel = pika.BlockingConnection(self._parameters).channel()
            # What is not confirmed may not be counted yet.
            self._channel.confirm_delivery()
        return self._channel


class RabbitFailedStore:
    """Keeps the latest *most* in a queue of RabbitMQ, for all who use that broker.

    To look for one is to walk through all of them; while that lasts, others do not see those it has passed.
    """

    def __init__(self, parameters: Any, *, prefix: str, most: int = 1_000) -> None:
        self._parameters = parameters
        # With a colon, so that it is the name of no queue of ours.
        self._name = f"{prefix}:failed"
        self._most = most

    def add(self, failed: Failed) -> str:
        """See `FailedStore.add()`; the oldest makes room."""
        failed_id = uuid.uuid4().hex
        texts = {"reason": failed.reason, "queue": failed.queue, "name": failed.name, "driver": failed.driver}
        headers = {name: text.encode(errors="backslashreplace") for name, text in texts.items()}
        properties = pika.BasicProperties(
            delivery_mode=2, message_id=failed_id, headers=headers | {"at": repr(failed.at)}
        )
        with self._opened() as channel:
            channel.confirm_delivery()
            channel.basic_publish("", self._name, failed.body, properties)
        return failed_id

    def list(self, *, most: int = 100) -> Sequence[Failed]:
        """See `FailedStore.list()`."""
        with self._opened() as channel:
            return [failed for _, failed in self._walk(channel)][: -most - 1 : -1]

    def count(self) -> int:
        """See `FailedStore.count()`."""
        with self._opened() as channel:
            return _count(channel.connection, self._name)

    def find(self, failed_id: str) -> Failed | None:
        """See `FailedStore.find()`."""
        with self._opened() as channel:
            return next((failed for _, failed in self._walk(channel) if failed.id == failed_id), None)

    def forget(self, failed_id: str) -> bool:
        """See `FailedStore.forget()`."""
        with self._opened() as channel:
            for tag, failed in self._walk(channel):
                if failed.id == failed_id:
                    channel.basic_ack(tag)
                    return True
        return False

    def flush(self) -> int:
        """See `FailedStore.flush()`."""
        with self._opened() as channel:
            return int(channel.queue_purge(self._name).method.message_count)

    def _walk(self, channel: Any) -> Iterator[tuple[int, Failed]]:
        """Take out one after the other, oldest first; what is not acknowledged goes back to its place."""
        while (got := channel.basic_get(self._name))[0] is not None:
            method, properties, body = got
            yield method.delivery_tag, _read(properties, body)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with _connected(self._parameters) as connection:
                channel = connection.channel()
                arguments = {"x-max-length": self._most, "x-overflow": "drop-head"}
                channel.queue_declare(self._name, durable=True, arguments=arguments)
                yield channel
        except _TROUBLE as error:
            said = str(error) or type(error).__name__
            raise OSError(f"the failed store on RabbitMQ cannot be reached: {said}") from error


@contextmanager
def _connected(parameters: Any) -> Iterator[Any]:
    """Connect for a moment: threads and processes must not share a connection."""
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def _count(connection: Any, name: str) -> int:
    """Return how many wait in the queue of that *name*; 0 where there is none."""
    try:
        return int(connection.channel().queue_declare(name, passive=True).method.message_count)
    except exceptions.ChannelClosedByBroker as closed:
        if closed.reply_code != 404:
            raise
        return 0


def _read(properties: Any, body: bytes) -> Failed:
    headers = properties.headers
    reason, queue, name, driver = (_text(headers[field]) for field in ("reason", "queue", "name", "driver"))
    return Failed(body, reason, float(headers["at"]), queue, name, driver, properties.message_id)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
