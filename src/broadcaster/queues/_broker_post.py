"""What a worker on a broker asks for: what was fetched, and an ear for what became of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from queue import Empty, PriorityQueue
from typing import Any, Protocol

from broadcaster.queues.outcomes import Outcome

__all__ = ["SUSPECT", "TICK_SECONDS", "Begun", "Consumer", "Fetched", "Held", "Post"]

SUSPECT = 1
"""How many workers something may have ended that is begun only alone from then on.

One is enough: each that ends them together with what does end them counts against the innocent, too.
"""

TICK_SECONDS = 0.1
"""How long a thread waits for something before it looks whether it is to go on."""


class Held(Protocol):
    """One envelope that is out of the broker, and belongs to this worker until it is acknowledged."""

    queue: str
    body: bytes

    def ack(self) -> None:
        """Be done with it; `DeliveryError` where the broker cannot be told."""


class Consumer(Protocol):
    """Fetches what waits in one queue, in a thread of its own."""

    def is_alive(self) -> bool:
        """Return whether its thread runs."""
        ...

    def end(self, left: Callable[[], Iterable[Held]]) -> None:
        """Fetch no more; give back to the broker what it has, and what is *left* then of what it fetched."""


class Begun(Protocol):
    """How many workers began envelopes, and never ended them."""

    def begin(self, taken: Sequence[Held], /) -> list[int]:
        """Return how many workers each may have ended; note that they are begun, of several no `SUSPECT`."""
        ...

    def end(self, taken: Sequence[Held], /) -> None:
        """Be done with them."""


class Post(Protocol):
    """The broker, as a worker needs it; what cannot be done now raises `DeliveryError` or `OSError`."""

    outlives_consumers: bool
    """Whether what was fetched can be acknowledged, or given back, when its consumer has ended."""

    def consumers(self, queue: str, fetched: Fetched) -> list[Consumer]:
        """Start fetching from *queue* what is put into *fetched*."""
        ...

    def deliver(self, bodies: Sequence[bytes], /) -> list[Outcome]:
        """Deliver them."""
        ...

    def deliver_alone(self, body: bytes, lost: int, /) -> Outcome:
        """Deliver one that *lost* workers began, or give it up."""
        ...

    def begun(self) -> AbstractContextManager[Begun]:
        """Lend what counts to one thread."""
        ...

    def settle(self, outcome: Outcome, /) -> None:
        """Queue it once more, or keep it among what failed, where that is what came out."""

    def ready(self, queues: Iterable[str]) -> int:
        """Return how much waits in *queues* for a worker."""
        ...

    def paused(self) -> frozenset[str]:
        """Return the queues from which nothing may be taken; being asked is a sign of life."""
        ...


class Fetched(PriorityQueue[Any]):
    """What was fetched and waits for a thread: that of the first of *queues* goes before all else."""

    def __init__(self, queues: Sequence[str], held: Callable[[Any], Held]) -> None:
        super().__init__()
        self._ranks: Mapping[str, int] = {queue: rank for rank, queue in enumerate(queues)}
        self._numbers = itertools.count()
        self._held = held

    def _put(self, item: Any) -> None:
        held = self._held(item)
        super()._put((self._ranks[held.queue], next(self._numbers), held))

    def _get(self) -> Held:
        held: Held = super()._get()[2]
        return held

    def take(self, most: int) -> list[Held]:
        """Wait a moment for something; return what there is, up to *most*."""
        taken: list[Held] = []
        with suppress(Empty):
            while len(taken) < most:
                taken.append(self.get(block=not taken, timeout=TICK_SECONDS))
        return taken

    def give_back(self, held: Iterable[Held]) -> None:
        """Put back what was taken, for nobody to take again."""
        with self.mutex:
            self.queue += [(self._ranks[one.queue], next(self._numbers), one) for one in held]

    def left(self, queue: str) -> list[Held]:
        """Take out all that is of *queue*."""
        with self.mutex:
            mine = sorted(entry for entry in self.queue if entry[2].queue == queue)
            self.queue = sorted(entry for entry in self.queue if entry[2].queue != queue)
        return [held for _, _, held in mine]
