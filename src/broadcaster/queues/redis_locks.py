"""Locks on Redis, for events of which at most one may wait in the queues of many machines."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from broadcaster.drivers._redis_package import TROUBLE, short
from broadcaster.errors import DeliveryError
from broadcaster.queues.envelopes import Envelope

__all__ = ["Redis", "RedisLocks"]

_logger = logging.getLogger("broadcaster.queue")

# Whoever has it may take it again: a command whose answer was lost is repeated.
_TAKE = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Redis(Protocol):
    """A client of Redis as engines have one: threads share it, and its replies are bytes."""

    def execute_command(self, *args: Any) -> Any:
        """Return the reply to the command whose words are *args*."""
        ...


class RedisLocks:
    """Locks beneath *prefix*; each is held by one envelope, and for a time at the most."""

    def __init__(self, client: Redis, *, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}:lock:"

    def take(self, envelope: Envelope) -> bool:
        """Take the lock that *envelope* wants; False where another one has it.

        Raises `DeliveryError` where Redis does not say.
        """
        if envelope.unique is None:
            return True
        milliseconds = max(1, int(envelope.unique_for * 1_000))
        try:
            return bool(self._run(_TAKE, envelope.unique, envelope.message.id, milliseconds))
        except TROUBLE as error:
            reason = f"no lock could be had: {short(error)}"
            raise DeliveryError(reason, driver="queue", retryable=True) from error

    def give_back(self, envelope: Envelope) -> None:
        """Give it back, if *envelope* has it; where Redis is away, it ends when its time is over."""
        if envelope.unique is not None:
            try:
                self._run(_GIVE_BACK, envelope.unique, envelope.message.id)
            except TROUBLE as error:
                _logger.warning("the lock %r stays until its time is over: %s", envelope.unique, short(error))

    def _run(self, script: str, key: str, *words: str | int) -> Any:
        return self._client.execute_command("EVAL", script, 1, self._prefix + key, *words)
