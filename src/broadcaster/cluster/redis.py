"""Nodes that meet at a Redis."""

from __future__ import annotations

from broadcaster.cluster.group import Group
from broadcaster.cluster.redis_bus import RedisBus
from broadcaster.cluster.redis_journal import RedisJournal
from broadcaster.cluster.redis_roster import RedisRoster

__all__ = ["redis_group"]


def redis_group(url: str, *, prefix: str = "", seconds: float = 2.0, lease: float = 10.0) -> Group:
    """Return how one more node meets the others at *url*; see `RedisBus`, which tells what that may be.

    See `RedisRoster` and `RedisJournal` too; all raise `ConfigurationError` for a URL that is none.
    """
    return Group(
        RedisBus(url, prefix=prefix, seconds=seconds),
        RedisRoster(url, prefix=prefix, seconds=seconds, lease=lease),
        RedisJournal(url, prefix=prefix, seconds=seconds),
    )
