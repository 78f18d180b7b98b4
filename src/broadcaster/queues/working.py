"""What a queue offers besides taking envelopes: workers, and a look at what waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from broadcaster.queues.base import Queue
from broadcaster.queues.failed import FailedStore
from broadcaster.queues.outcomes import Outcome

__all__ = ["Size", "WorkOptions", "WorkedQueue", "Worker"]


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """How a worker works.

    It takes from *queues* in that order: what waits in the first goes before all else. Up to *concurrency*
    batches are delivered at the same time. It ends after one batch, or none, with *once*, when nothing is
    ready with *stop_when_empty*, and after *max_jobs* or *max_seconds*. After a `stop()` it has *grace*
    seconds to finish what it holds.
    """

    queues: tuple[str, ...] = ("default",)
    concurrency: int = 1
    once: bool = False
    stop_when_empty: bool = False
    max_jobs: int | None = None
    max_seconds: float | None = None
    grace: float = 30.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of one queue is *ready*, *delayed*, and *held* by workers; None where it cannot tell."""

    ready: int
    delayed: int | None = None
    held: int | None = None
    paused: bool = False


class Worker(Protocol):
    """Takes envelopes out of a queue and has a `Runner` deliver them."""

    def run(self) -> None:
        """Work, until `stop()` or what the options say; what it holds then is finished, or given back."""

    def stop(self) -> None:
        """Take no more; safe in a signal handler and in another thread, and harmless when repeated."""


@runtime_checkable
class WorkedQueue(Queue, Protocol):
    """A queue whose workers are ours to run, with `broadcaster work`."""

    @property
    def failed(self) -> FailedStore:
        """What was given up."""
        ...

    def worker(self, options: WorkOptions, *, report: Callable[[Outcome], None]) -> Worker:
        """Return a worker; *report* is told what became of each envelope, in whatever thread that was."""
        ...

    def sizes(self) -> dict[str, Size]:
        """Return how much there is in each queue that has something, or is paused."""
        ...

    def clear(self, queue: str) -> int:
        """Drop what waits in *queue*, and give back its locks; return how much it was. What is held stays."""
        ...

    def pause(self, queue: str) -> None:
        """Let no worker take anything from *queue* before `resume()`; what is pushed waits."""

    def resume(self, queue: str) -> None:
        """Go on with *queue*."""
