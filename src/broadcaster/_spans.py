"""Spans of OpenTelemetry, where they are wanted: only who wants them needs it."""

from __future__ import annotations

from dataclasses import dataclass

from broadcaster.dispatcher import Span
from broadcaster.queues.runner import Span as DeliverySpan

__all__ = ["Spans", "spans_if"]


@dataclass(frozen=True, slots=True)
class Spans:
    """What makes spans of what is sent, and of what a worker delivers; None makes none."""

    sent: Span | None = None
    delivered: DeliverySpan | None = None


def spans_if(wanted: bool) -> Spans:  # noqa: FBT001 - it is what the name asks
    """Return what makes spans, if they are *wanted*; raise `MissingExtra` without OpenTelemetry's API."""
    if not wanted:
        return Spans()
    from broadcaster._tracing import delivery, late_delivery

    return Spans(delivery, late_delivery)
