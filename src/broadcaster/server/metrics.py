"""What a node counts, in the formats of Prometheus: the one module that imports its client."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from broadcaster._version import __version__
from broadcaster.errors import MissingExtra
from broadcaster.protocol.api import ApiResponse
from broadcaster.protocol.codes import Code
from broadcaster.server.histogram import Histogram
from broadcaster.server.node import Node

try:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
        Metric,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingExtra("prometheus_client", extra="prometheus") from error

__all__ = ["Metrics"]

_SOURCES = ("api", "bus", "client", "local")
_SIGNED = ("api", "channel", "user")
_LIMITED = ("api", "client_event", "frame")

# A client may close with any code, and each would be one more series for ever.
_CODES = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, *Code})


class Metrics:
    """What *node* counts, and the *lateness* of its event loop; all of it is read when it is asked for."""

    def __init__(self, node: Node, lateness: Histogram) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_NodeCollector(node, lateness))
        ProcessCollector(registry=self._registry)

    def answer(self, accept: str) -> ApiResponse:
        """Answer in OpenMetrics where *accept*, a header, asks for it, otherwise in Prometheus' own text."""
        # Not the header itself: what a client writes there may be nothing that can be read.
        openmetrics = "application/openmetrics-text"
        encode, kind = choose_encoder(openmetrics if openmetrics in accept else "")
        return ApiResponse(200, encode(self._registry).decode(), head=(("Content-Type", kind),))


class _NodeCollector(Collector):
    def __init__(self, node: Node, lateness: Histogram) -> None:
        self._node = node
        self._lateness = lateness

    def collect(self) -> Iterator[Metric]:
        build = InfoMetricFamily("broadcaster_build", "What is running")
        build.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield build
        yield from self._connections()
        yield from self._traffic()
        yield from self._refusals()
        yield from self._requests()
        yield from self._bus()
        yield from self._webhooks()
        late = HistogramMetricFamily(
            "broadcaster_event_loop_lag_seconds", "How late the event loop was, once a second"
        )
        late.add_metric([], _buckets(self._lateness), self._lateness.total)
        yield late

    def _connections(self) -> Iterator[Metric]:
        now = GaugeMetricFamily("broadcaster_connections", "Open WebSocket connections", labels=["app_id"])
        channels = GaugeMetricFamily("broadcaster_channels", "Occupied channels", labels=["app_id"])
        subscriptions = GaugeMetricFamily(
            "broadcaster_subscriptions", "Subscriptions to channels", labels=["app_id"]
        )
        opened = _counter("connections_opened", "Connections that were opened", "app_id")
        closed = _counter("connections_closed", "Connections that ended, by close code", "app_id", "code")
        for hub in self._node.hubs.values():
            now.add_metric([hub.app.id], len(hub.connections))
            channels.add_metric([hub.app.id], len(hub.channels))
            subscriptions.add_metric([hub.app.id], sum(map(len, hub.channels.values())))
            opened.add_metric([hub.app.id], hub.tally.opened)
            codes: dict[str, int] = {}
            for code, count in hub.tally.closed.items():
                name = str(int(code)) if code in _CODES else "other"
                codes[name] = codes.get(name, 0) + count
            for name, count in codes.items():
                closed.add_metric([hub.app.id, name], count)
        yield from (now, channels, subscriptions, opened, closed)

    def _traffic(self) -> Iterator[Metric]:
        received = _counter("frames_received", "Text frames from clients", "app_id")
        sent = _counter("frames_sent", "Frames to clients, one for each that got it", "app_id")
        size = _counter("sent_bytes", "Bytes of those frames, before compression", "app_id")
        events = _counter("events", "Events that were published, by where they came from", "app_id", "source")
        replayed = _counter("history_replayed", "Events that reached a client later than others", "app_id")
        gaps = _counter("history_gaps", "Times that a client was told it may have missed events", "app_id")
        for hub in self._node.hubs.values():
            replayed.add_metric([hub.app.id], hub.tally.replayed)
            gaps.add_metric([hub.app.id], hub.tally.gaps)
            received.add_metric([hub.app.id], hub.tally.frames_received)
            sent.add_metric([hub.app.id], hub.tally.frames_sent)
            size.add_metric([hub.app.id], hub.tally.bytes_sent)
            for source in _SOURCES:
                events.add_metric([hub.app.id, source], hub.tally.events[source])
        yield from (received, sent, size, events, replayed, gaps)

    def _refusals(self) -> Iterator[Metric]:
        refused = _counter("connections_refused", "Connections that were refused, by close code", "code")
        for code, count in self._node.refused.items():
            refused.add_metric([str(int(code))], count)
        slow = _counter("slow_readers", "Connections cut off because they read too slowly", "app_id")
        unsigned = _counter("signature_failures", "Signatures that did not fit", "app_id", "kind")
        limited = _counter("rate_limited", "What came too fast", "app_id", "kind")
        for hub in self._node.hubs.values():
            slow.add_metric([hub.app.id], hub.tally.slow_readers)
            for kind in _SIGNED:
                unsigned.add_metric([hub.app.id, kind], hub.tally.unsigned[kind])
            for kind in _LIMITED:
                limited.add_metric([hub.app.id, kind], hub.tally.limited[kind])
        yield from (refused, slow, unsigned, limited)

    def _requests(self) -> Iterator[Metric]:
        requests = _counter("http_requests", "HTTP requests that were answered", "route", "method", "status")
        for (route, method, status), count in self._node.requests.counts.items():
            requests.add_metric([route, method, str(status)], count)
        seconds = HistogramMetricFamily(
            "broadcaster_http_request_duration_seconds", "How long answers took", labels=["route", "method"]
        )
        for key, histogram in self._node.requests.seconds.items():
            seconds.add_metric(list(key), _buckets(histogram), histogram.total)
        yield from (requests, seconds)

    def _bus(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily("broadcaster_bus_connected", "Whether other nodes are heard")
        interruptions = _counter("bus_interruptions", "Times that other nodes were heard again")
        published = _counter("bus_messages_published", "Messages for other nodes")
        heard = _counter("bus_messages_heard", "Messages of other nodes and publishers")
        dropped = _counter("bus_messages_dropped", "Messages that were lost, by reason", "reason")
        if (peers := self._node.peers) is not None:
            connected.add_metric([], int(peers.is_connected))
            interruptions.add_metric([], peers.interruptions)
            published.add_metric([], peers.published)
            heard.add_metric([], peers.heard)
            dropped.add_metric(["unsaid"], peers.unsaid)
            dropped.add_metric(["unreadable"], peers.unreadable)
        yield from (connected, interruptions, published, heard, dropped)

    def _webhooks(self) -> Iterator[Metric]:
        sent = _counter("webhook_events_sent", "Events that a webhook took", "app_id")
        failed = _counter("webhook_requests_failed", "Requests that a webhook did not take", "app_id")
        dropped = _counter("webhook_events_dropped", "Events given up", "app_id")
        waiting = GaugeMetricFamily(
            "broadcaster_webhook_events_waiting", "Events that wait for a webhook", labels=["app_id"]
        )
        if (webhooks := self._node.webhooks) is not None:
            for app_id, size in webhooks.waiting.items():
                waiting.add_metric([app_id], size)
                sent.add_metric([app_id], webhooks.tallies[app_id]["sent"])
                failed.add_metric([app_id], webhooks.tallies[app_id]["failed"])
                dropped.add_metric([app_id], webhooks.tallies[app_id]["dropped"])
        yield from (sent, failed, dropped, waiting)


def _counter(name: str, about: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"broadcaster_{name}", about, labels=labels)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return [(bound, float(count)) for bound, count in zip(bounds, histogram.cumulative, strict=True)]
