"""Spans of the requests to the HTTP API: the one module of the server that imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broadcaster._version import __version__
from broadcaster.errors import MissingExtra
from broadcaster.protocol.api import ApiRequest
from broadcaster.server.requests import Taken

try:
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode, get_tracer
except ImportError as error:
    raise MissingExtra("opentelemetry", extra="otel") from error

__all__ = ["traced"]


@contextmanager
def traced(request: ApiRequest, taken: Taken) -> Iterator[None]:
    """Make a span of what happens inside, below the one that the header `traceparent` names.

    It has no path, query or body: they tell channels, users and signatures.
    """
    tracer = get_tracer("broadcaster.server", __version__)
    # Never the current one: an answer that is waited for begins in one context and ends in another.
    span = tracer.start_span(
        f"{taken.method} {taken.route}",
        context=extract({name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}),
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": taken.method if taken.method != "other" else "_OTHER",
            "http.route": taken.route,
            "broadcaster.app_id": request.path.split("/")[2][:100],
        },
    )
    try:
        yield
    except Exception as error:
        # Its text may hold what the path does.
        span.set_attribute("error.type", type(error).__qualname__)
        raise
    finally:
        span.set_attribute("http.response.status_code", taken.status)
        if taken.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
