"""Celery's Redis, on which a worker that is killed loses nothing, and what it held comes back in time.

kombu has Redis pop a message, and notes afterwards that it is held: who is killed in between loses it. Here
one script does both. What was held for too long, kombu gives back the latest first, one worker at a time, and
begins anew whenever another one takes or finishes something: under load, the first to be due come last.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from queue import Empty
from time import monotonic, sleep, time
from typing import Any, Literal

from broadcaster.errors import MissingExtra

try:
    from kombu import connection
    from kombu.exceptions import KombuError, LimitExceeded
    from kombu.pools import ProducerPool
    from kombu.transport import redis, virtual
    from kombu.utils.encoding import bytes_to_str
    from kombu.utils.functional import lazy
    from kombu.utils.json import dumps, loads
except ImportError as error:
    raise MissingExtra(error.name or "kombu", extra="celery") from error

__all__ = ["Connection", "KombuError", "LimitExceeded", "ProducerPool", "close_idle"]

# What `QoS.append()` of kombu's writes, with the message as it is. What is no message of kombu's is for the
# caller to complain of.
_TAKE = """
local function read(raw)
    local properties = cjson.decode(raw).properties
    local way = properties.delivery_info
    return properties.delivery_tag, cjson.encode(way.exchange) .. ',' .. cjson.encode(way.routing_key)
end
local index, held = KEYS[#KEYS - 1], KEYS[#KEYS]
for number = 1, #KEYS - 2 do
    local raw = redis.call('RPOP', KEYS[number])
    if raw then
        local is_read, tag, way = pcall(read, raw)
        if is_read then
            redis.call('ZADD', index, ARGV[1], tag)
            redis.call('HSET', held, tag, '[' .. raw .. ',' .. way .. ']')
        end
        return {KEYS[number], raw}
    end
end
return false
"""

_DUE = """
local due = {}
for _, tag in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
    local noted = redis.call('HGET', KEYS[2], tag)
    if noted then
        due[#due + 1] = {tag, noted}
    else
        redis.call('ZREM', KEYS[1], tag)
    end
end
return due
"""
_MOST_GIVEN_BACK = 100

# Whoever comes first does it; the others find it gone, or held again.
_GIVE_BACK = """
local since = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not since or tonumber(since) > tonumber(ARGV[2]) then
    return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call(ARGV[3], KEYS[3], ARGV[4])
return 1
"""

# There is no command that waits for several lists and takes from none: of several queues, the first is waited
# for, and all are looked at after so many seconds.
_TURN = 0.1


class QoS(redis.QoS):
    """What is held, of which the channel has made a note already."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Hold *message*."""
        virtual.QoS.append(self, message, delivery_tag)

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 1) -> None:
        """Give back what has been held for too long, the first to be due first."""
        until = time() - self.visibility_timeout
        keys = self.channel.prefixed(self.unacked_index_key, self.unacked_key)
        with self.channel.conn_or_acquire() as client:
            due = client.execute_command("EVAL", _DUE, len(keys), *keys, until, _MOST_GIVEN_BACK)
            for tag, noted in due:
                self._give_back(client, tag, noted, push="RPUSH", until=until)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002
        """Give back what is held under *tag*: last in line if *leftmost*."""
        with self.channel.conn_or_acquire(client) as connected:
            if noted := connected.hget(self.unacked_key, tag):
                self._give_back(connected, tag, noted, push="LPUSH" if leftmost else "RPUSH", until=inf)

    def _give_back(self, client: Any, tag: str | bytes, noted: bytes, *, push: str, until: float) -> None:
        """Do it unless somebody has taken it after *until*."""
        message, _, queue = loads(bytes_to_str(noted))
        message["headers"]["redelivered"] = True
        message["properties"]["delivery_info"]["redelivered"] = True
        keys = self.channel.prefixed(self.unacked_index_key, self.unacked_key, queue)
        client.execute_command("EVAL", _GIVE_BACK, len(keys), *keys, tag, until, push, dumps(message))


class Channel(redis.Channel):
    """Takes and notes at once, and waits in between without taking."""

    QoS = QoS

    _in_poll: Any = False
    _brpop_sent_at: Any = None
    _is_waiting = False

    def prefixed(self, *keys: str) -> list[str]:
        """Return *keys* as Redis knows them."""
        return [f"{self.global_keyprefix}{key}" for key in keys]

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """Take one message from *queue*, or None."""
        message = super().basic_get(queue, no_ack=False, **kwargs)  # type: ignore[no-untyped-call]
        if message is not None and no_ack:
            message.ack()
        return message

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        with self.conn_or_acquire() as client:
            return self._read(client.execute_command(*self._take([queue])))[1]

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Send the one or the other; kombu reads one answer to each."""
        if queues := self._queue_cycle.consume(len(self.active_queues)):
            self._in_poll = self.client.connection
            self._brpop_sent_at = monotonic()
            self.client.connection.send_command(*(self._wait if self._is_waiting else self._take)(queues))

    def _brpop_read(self, **options: Any) -> Literal[True]:
        was_waiting, self._is_waiting = self._is_waiting, False
        try:
            try:
                answer = self.client.parse_response(self.client.connection, "EVAL", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            except self.ResponseError:
                if not was_waiting:
                    raise
                # A Redis that is full does not wait for a list; something may be in it all the same.
                sleep(_TURN)
                raise Empty from None
            if was_waiting:
                raise Empty
            self._is_waiting = answer is None
            queue, message = self._read(answer)
            self._queue_cycle.rotate(queue)
            self.connection._deliver(message, queue)  # noqa: SLF001 - as kombu's own channels do
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call]

    def _take(self, queues: list[str]) -> tuple[str | float, ...]:
        keys = self.prefixed(*queues, self.unacked_index_key, self.unacked_key)
        return ("EVAL", _TAKE, len(keys), *keys, time())

    def _wait(self, queues: list[str]) -> tuple[str | float, ...]:
        [first] = self.prefixed(queues[0])
        return ("BLMOVE", first, first, "RIGHT", "RIGHT", self.brpop_timeout if len(queues) == 1 else _TURN)

    def _read(self, answer: list[bytes] | None) -> tuple[str, Any]:
        if answer is None:
            raise Empty
        key, raw = map(bytes_to_str, answer)
        return key.removeprefix(self.global_keyprefix), loads(raw)


class Transport(redis.Transport):
    """Redis, with channels of ours."""

    Channel = Channel


class Connection(connection.Connection):
    """A connection to a Redis, which is used in our way."""

    def get_transport_cls(self) -> type[Transport]:
        """Return the transport, whatever the URL says."""
        return Transport


def close_idle(pool: Any) -> None:
    """Close what *pool*, which is of kombu's connections, lends to nobody.

    kombu itself closes what is lent as well, in the middle of a command. That goes back to the pool, and is
    closed with it.
    """
    with suppress(Empty):
        while True:
            found = pool._resource.get_nowait()  # noqa: SLF001 - as kombu itself does
            if not isinstance(found, lazy):
                # Without a farewell, for which the broker may not be there.
                pool.collect_resource(found)
    # Whoever waits for one gets a new one.
    pool.setup()
