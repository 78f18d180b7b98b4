"""What was given up is sent again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from broadcaster.queues.envelopes import UnreadableEnvelope, open_envelope
from broadcaster.queues.failed import Failed
from broadcaster.queues.working import WorkedQueue

__all__ = ["retry"]


def retry(queue: WorkedQueue, given_up: Iterable[Failed]) -> list[Failed]:
    """Push what was *given_up* as if it had never been tried, and forget it; return what cannot be read.

    Should this process die between the two, it is both waiting and given up: sent twice rather than never.
    It waits without a lock: another one like it that has the lock would have it left out, and lost.
    """
    unreadable: list[Failed] = []
    for failed in given_up:
        try:
            envelope = open_envelope(failed.body)
        except UnreadableEnvelope:
            unreadable.append(failed)
            continue
        queue.push([replace(envelope, attempt=1, delay=0.0, unique=None)])
        queue.failed.forget(failed.id)
    return unreadable
