"""Spans of deliveries: the one module of the sending half that imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from broadcaster._version import __version__
from broadcaster.context import trace_headers
from broadcaster.errors import DeliveryError, MissingExtra
from broadcaster.messages import Message

try:
    from opentelemetry.propagate import inject
    from opentelemetry.trace import SpanKind, Status, StatusCode, get_tracer
except ImportError as error:
    raise MissingExtra("opentelemetry", extra="otel") from error

__all__ = ["delivery"]


@contextmanager
def delivery(driver: str, messages: Sequence[Message]) -> Iterator[None]:
    """Make a span of what happens inside; HTTP drivers tell their peer of it.

    It names no channel and holds no data.
    """
    attributes: dict[str, str | int] = {
        "messaging.system": "broadcaster",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "broadcaster.driver": driver,
        "broadcaster.destination.count": len({name for message in messages for name in message.channels}),
    }
    if len(messages) > 1:
        attributes["messaging.batch.message_count"] = len(messages)
    else:
        attributes["messaging.message.id"] = messages[0].id
    with get_tracer("broadcaster", __version__).start_as_current_span(
        "broadcast.send",
        kind=SpanKind.PRODUCER,
        attributes=attributes,
        # What went wrong may quote what was sent.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        headers: dict[str, str] = {}
        inject(headers)
        token = trace_headers.set(headers)
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            if isinstance(error, DeliveryError) and error.status is not None:
                span.set_attribute("http.response.status_code", error.status)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            trace_headers.reset(token)
