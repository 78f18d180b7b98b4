"""Which kinds of driver can be made: those of this package, and those that other distributions offer."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TypeAlias

from broadcaster.drivers.base import Driver

__all__ = ["ENTRY_POINTS", "DriverFactory", "factory_of", "known_kinds"]

ENTRY_POINTS = "broadcaster.drivers"
"""The entry point group in which a distribution offers drivers: kind = factory."""

DriverFactory: TypeAlias = Callable[..., Driver]
"""Makes a driver from the options of its configuration, given as keyword arguments; a variable's are text."""

# Named, not imported: a driver's client loads when the driver is first used.
_OWN = {
    "ably": "broadcaster.drivers.ably:AblyDriver",
    "log": "broadcaster.drivers.log:LogDriver",
    "null": "broadcaster.drivers.null:NullDriver",
    "pusher": "broadcaster.drivers.pusher:PusherDriver",
    "redis": "broadcaster.drivers.redis:RedisDriver",
}


def factory_of(kind: str) -> DriverFactory | None:
    """Load what makes drivers of *kind*; None for an unknown one.

    Raises `MissingExtra` when the client that such drivers need is not installed.
    """
    own = [EntryPoint(kind, _OWN[kind], ENTRY_POINTS)] if kind in _OWN else []
    for entry in own or entry_points(group=ENTRY_POINTS, name=kind):
        factory: DriverFactory = entry.load()
        return factory
    return None


def known_kinds() -> set[str]:
    """Return the names of every kind."""
    return {*_OWN, *entry_points(group=ENTRY_POINTS).names}
