"""Which queues can be made: named, not imported, since an engine's client loads when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from broadcaster.errors import MissingExtra
from broadcaster.queues.base import Queue
from broadcaster.queues.runner import Drivers, Span

__all__ = ["QueueFactory", "known_queues", "make_queue"]

QueueFactory: TypeAlias = Callable[[Drivers], Queue]
"""Makes a queue whose workers deliver through the drivers that it is given."""

_OWN = {
    "celery": "broadcaster.queues.celery:CeleryQueue",
    "dramatiq": "broadcaster.queues.dramatiq:DramatiqQueue",
    "memory": "broadcaster.queues.memory:MemoryQueue",
    "rq": "broadcaster.queues.rq:RqQueue",
    "sqlite": "broadcaster.queues.sqlite:SqliteQueue",
}


def known_queues() -> set[str]:
    """Return the names of every engine but `sync`, which has no queue."""
    return set(_OWN)


def make_queue(kind: str, drivers: Drivers, options: Mapping[str, Any], *, span: Span | None = None) -> Queue:
    """Return a queue of *kind*, whose workers deliver through *drivers*, each delivery in a *span*.

    Raises `MissingExtra` when the engine is not installed.
    """
    module, _, name = _OWN[kind].partition(":")
    try:
        found = import_module(module)
    except MissingExtra as missing:
        # The extra of an engine brings all that it needs, its client of Redis among it.
        raise MissingExtra(missing.name or kind, extra=kind) from missing
    queue: Queue = getattr(found, name)(drivers, span=span, **options)
    return queue
