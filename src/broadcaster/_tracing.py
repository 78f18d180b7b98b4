"""Spans of deliveries: the one module of the sending half that imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from broadcaster._version import __version__
from broadcaster.context import trace_headers
from broadcaster.errors import DeliveryError, MissingExtra
from broadcaster.messages import Message
from broadcaster.queues.envelopes import Envelope

try:
    from opentelemetry.context import Context
    from opentelemetry.propagate import extract, inject
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span, get_tracer
except ImportError as error:
    raise MissingExtra("opentelemetry", extra="otel") from error

__all__ = ["delivery", "late_delivery"]


def delivery(driver: str, messages: Sequence[Message]) -> AbstractContextManager[None]:
    """Make a span of what happens inside; HTTP drivers tell their peer of it.

    It names no channel and holds no data.
    """
    return _span("broadcast.send", SpanKind.PRODUCER, driver, messages)


def late_delivery(driver: str, envelopes: Sequence[Envelope]) -> AbstractContextManager[None]:
    """Make a span of what a worker does; it is part of the trace of whoever sent what it delivers.

    A batch has many of these, and links to all of them.
    """
    messages = [envelope.message for envelope in envelopes]
    contexts = [extract(envelope.trace) for envelope in envelopes if envelope.trace]
    if len(envelopes) == 1:
        parent = contexts[0] if contexts else None
        return _span("broadcast.deliver", SpanKind.CONSUMER, driver, messages, parent)
    links = [Link(get_current_span(context).get_span_context()) for context in contexts]
    return _span("broadcast.deliver", SpanKind.CONSUMER, driver, messages, links=links)


@contextmanager
def _span(
    name: str,
    kind: SpanKind,
    driver: str,
    messages: Sequence[Message],
    parent: Context | None = None,
    links: Sequence[Link] = (),
) -> Iterator[None]:
    attributes: dict[str, str | int] = {
        "messaging.system": "broadcaster",
        "messaging.operation.name": "send" if kind is SpanKind.PRODUCER else "deliver",
        "messaging.operation.type": "send" if kind is SpanKind.PRODUCER else "process",
        "broadcaster.driver": driver,
        "broadcaster.destination.count": len({name for message in messages for name in message.channels}),
    }
    if len(messages) > 1:
        attributes["messaging.batch.message_count"] = len(messages)
    else:
        attributes["messaging.message.id"] = messages[0].id
    with get_tracer("broadcaster", __version__).start_as_current_span(
        name,
        context=parent,
        kind=kind,
        links=links,
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
