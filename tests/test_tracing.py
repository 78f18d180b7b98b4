import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    DeliveryError,
    Message,
    Settings,
    ShouldQueue,
)
from broadcaster._tracing import late_delivery
from broadcaster.config import DriverConfig
from broadcaster.drivers.base import Driver
from broadcaster.queues.envelopes import Envelope
from broadcaster.server import ServerThread
from tests.programs import python
from tests.server.clients import APP
from tests.spans import recorded_spans
from tests.waits import until


class Refusing(Driver):
    name = "refusing"

    def deliver(self, message: Message) -> None:
        raise DeliveryError("no: the secret data", driver=self.name, status=413)

    async def adeliver(self, message: Message) -> None:
        self.deliver(message)


def manager(tracing: bool = True) -> BroadcastManager:
    broadcast = BroadcastManager(Settings(default="null", tracing=tracing))
    broadcast.extend("refusing", Refusing)
    return broadcast


def pusher(server: ServerThread) -> Settings:
    options = {"app_id": APP.id, "key": APP.key, "secret": APP.secret, "host": server.host}
    return Settings.from_dict(
        {
            "driver": "pusher",
            "drivers": {"pusher": {**options, "port": server.port, "scheme": "http"}},
            "tracing": True,
        }
    )


def test_a_delivery_is_a_span_that_counts_channels_and_tells_no_data() -> None:
    with recorded_spans() as spans:
        manager().send(AnonymousEvent("paid", on=["orders.7", "orders.8"], data={"card": "4711"}))

    (span,) = spans.named("broadcast.send")
    assert span.kind is SpanKind.PRODUCER
    assert span.attributes is not None
    assert span.attributes["messaging.system"] == "broadcaster"
    assert span.attributes["messaging.operation.type"] == "send"
    assert span.attributes["broadcaster.driver"] == "null"
    assert span.attributes["broadcaster.destination.count"] == 2
    assert "4711" not in span.to_json()
    assert "orders" not in span.to_json()


async def test_a_batch_is_one_span_that_says_how_many_messages_it_has() -> None:
    events = [AnonymousEvent("tick", on="clock", data={"n": n}) for n in range(3)]

    with recorded_spans() as spans:
        await manager().asend_many(events)

    (span,) = spans.named("broadcast.send")
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 3
    assert span.attributes["broadcaster.destination.count"] == 1


def test_a_delivery_that_fails_is_an_error_without_its_words() -> None:
    with recorded_spans() as spans, pytest.raises(DeliveryError):
        manager().send(AnonymousEvent("paid", on="orders", data={}), via="refusing")

    (span,) = spans.named("broadcast.send")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "DeliveryError"
    assert span.attributes["http.response.status_code"] == 413
    assert "secret data" not in span.to_json()


def test_nothing_is_traced_unless_it_is_wanted() -> None:
    with recorded_spans() as spans:
        manager(tracing=False).send(AnonymousEvent("paid", on="orders", data={}))

    assert spans.names == []


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_turns_it_on(monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool) -> None:
    monkeypatch.setenv("BROADCAST_TRACING", value)

    assert Settings.from_env().tracing is wanted


def test_one_trace_leads_from_the_application_through_the_server() -> None:
    with (
        recorded_spans() as spans,
        ServerThread([APP], port=0, tracing=True) as server,
        BroadcastManager(pusher(server)) as broadcast,
    ):
        broadcast.send(AnonymousEvent("paid", on="orders", data={}))
        until(lambda: len(spans.names) == 2)
        (sent,), (taken,) = spans.named("broadcast.send"), spans.named("POST /apps/{app_id}/events")

    assert taken.parent is not None
    assert sent.context is not None
    assert taken.parent.span_id == sent.context.span_id
    assert taken.parent.trace_id == sent.context.trace_id


async def test_one_trace_leads_from_a_coroutine_through_the_server() -> None:
    with recorded_spans() as spans, ServerThread([APP], port=0, tracing=True) as server:
        async with BroadcastManager(pusher(server)) as broadcast:
            await broadcast.asend(AnonymousEvent("paid", on="orders", data={}))
        until(lambda: len(spans.names) == 2)
        (sent,), (taken,) = spans.named("broadcast.send"), spans.named("POST /apps/{app_id}/events")

    assert taken.parent is not None
    assert sent.context is not None
    assert taken.parent.span_id == sent.context.span_id


def loaded(program: str) -> Sequence[str]:
    shown = f"import json, sys\n{program}\nprint(json.dumps(list(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, timeout=120, check=True
    )
    names: list[str] = json.loads(result.stdout)
    return names


def test_opentelemetry_is_loaded_only_where_it_is_wanted() -> None:
    program = "from broadcaster import BroadcastManager, Settings\nBroadcastManager(Settings(tracing={}))"

    assert not any(name.startswith("opentelemetry") for name in loaded(program.format(False)))
    assert any(name.startswith("opentelemetry") for name in loaded(program.format(True)))


def test_without_opentelemetry_the_extra_is_named() -> None:
    program = (
        "from broadcaster import BroadcastManager, MissingExtra, Settings\n"
        "try:\n    BroadcastManager(Settings(tracing=True))\n"
        "except MissingExtra as error:\n    print(error)\n"
    )

    assert "pip install 'broadcaster-kit[otel]'" in python(program, without="opentelemetry")


class Mailed(AnonymousEvent, ShouldQueue):
    pass


def test_what_a_worker_delivers_is_part_of_the_trace_that_sent_it() -> None:
    settings = Settings(default="null", queue=DriverConfig("memory"), tracing=True)
    # At its end all is delivered.
    with recorded_spans() as spans, BroadcastManager(settings) as broadcast:
        broadcast.send(Mailed("paid", on="orders.7"))

    (sent,), (delivered,) = spans.named("broadcast.send"), spans.named("broadcast.deliver")
    assert delivered.kind is SpanKind.CONSUMER
    assert delivered.parent is not None
    assert delivered.parent.span_id == sent.context.span_id
    assert dict(delivered.attributes or {})["broadcaster.driver"] == "null"


def test_a_batch_that_a_worker_delivers_links_to_all_that_were_sent() -> None:
    carrier = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    envelopes = [Envelope(Message("a", ("b",), "{}"), "null", trace=carrier) for _ in range(2)]
    with recorded_spans() as spans, late_delivery("null", envelopes):
        pass

    (span,) = spans.named("broadcast.deliver")
    assert span.parent is None
    assert [f"{link.context.span_id:016x}" for link in span.links] == ["b7ad6b7169203331"] * 2
