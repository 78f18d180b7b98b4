"""What every queue is: a place where envelopes wait for a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from broadcaster.queues.envelopes import Envelope

__all__ = ["Capabilities", "Queue"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a queue can do.

    *durable*: what it took survives the process. *delays*: it can hold something back. *unique*: it keeps
    the locks of events of which one at most may wait. *priorities*: a worker takes its queues in order.
    """

    durable: bool
    delays: bool = True
    unique: bool = True
    priorities: bool = True


class Queue(Protocol):
    """Takes envelopes in any thread and on any event loop; a worker gets them out."""

    name: str
    """The engine, as settings name it."""

    capabilities: Capabilities

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take *envelopes*, in order; when it returns they are as safe as the queue can keep them.

        One whose lock is held by another is left out, in silence. Raises `DeliveryError` where they cannot
        be taken: retryable, since nothing of what was left to take was lost or delivered.
        """

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        """Like `push()`, without blocking the event loop."""

    def release(self, envelope: Envelope) -> None:
        """Give back the lock that *envelope* holds, now that it is done with; harmless without one."""

    def close(self) -> None:
        """Close what threads use; what waits goes on waiting, as far as the queue can keep it."""

    async def aclose(self) -> None:
        """Like `close()`, and closes what belongs to the running event loop."""
