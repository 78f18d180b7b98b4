"""What becomes of an envelope that a worker took."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broadcaster.queues.envelopes import Envelope
from broadcaster.queues.failed import Failed

__all__ = ["Outcome", "Verdict"]


class Verdict(StrEnum):
    """How it ended."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, and why; the engine has to push *again* after *pause* seconds, where that is something.

    Whatever the verdict, the engine is done with the job that it took. What *failed* is in the failed store,
    or for the engine to put there.
    """

    verdict: Verdict
    envelope: Envelope | None = None
    reason: str = ""
    again: Envelope | None = None
    pause: float = 0.0
    failed: Failed | None = None
