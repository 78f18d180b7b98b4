import pytest
from opentelemetry.trace import SpanKind, StatusCode

from broadcaster.protocol.api import ApiRequest
from broadcaster.server import ServerThread
from broadcaster.server.requests import Requests
from broadcaster.server.tracing import traced
from tests.server.clients import APP, call, plain, raw, read_all
from tests.spans import recorded_spans

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def exchange(port: int, request: bytes) -> None:
    with raw(port) as connection:
        connection.sendall(request)
        read_all(connection)


def test_a_request_is_a_span_named_after_its_route() -> None:
    with recorded_spans() as spans, ServerThread([APP], port=0, tracing=True) as server:
        call(server.port, "GET", "/apps/3/channels/secret-plans")
        (span,) = spans.named("GET /apps/{app_id}/channels/{channel}")

    assert span.kind is SpanKind.SERVER
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/apps/{app_id}/channels/{channel}",
        "http.response.status_code": 200,
        "broadcaster.app_id": "3",
    }


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
def test_it_is_part_of_the_trace_of_whoever_asks(name: str) -> None:
    head = f"GET /apps/3/channels HTTP/1.0\r\n{name}: {CALLER}\r\n\r\n"
    with recorded_spans() as spans, ServerThread([APP], port=0, tracing=True) as server:
        exchange(server.port, head.encode())

    (span,) = spans.named("GET /apps/{app_id}/channels")
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"


@pytest.mark.parametrize(
    "value", ["", "nonsense", "00-0-0-0", "\x00", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_a_traceparent_that_is_none_begins_a_trace(value: str) -> None:
    with (
        recorded_spans() as spans,
        Requests(traced).taken(
            ApiRequest("GET", "/apps/3/channels", headers=[(b"traceparent", value.encode())])
        ),
    ):
        pass

    (span,) = spans.named("GET /apps/{app_id}/channels")
    assert span.parent is None


def test_health_checks_and_files_are_no_spans() -> None:
    with recorded_spans() as spans, ServerThread([APP], port=0, tracing=True) as server:
        for path in ("/up", "/livez", "/client.js", "/nowhere"):
            plain(server.port, "GET", path)

        assert spans.names == []


def test_what_breaks_is_an_error_without_its_words() -> None:
    request = ApiRequest("GET", "/apps/3/channels")
    with recorded_spans() as spans, pytest.raises(ZeroDivisionError), Requests(traced).taken(request):
        raise ZeroDivisionError("the secret data")

    (span,) = spans.named("GET /apps/{app_id}/channels")
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ZeroDivisionError"
    assert (span.attributes or {})["http.response.status_code"] == 500
    assert "secret data" not in span.to_json()
