import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from websockets.exceptions import ConnectionClosed

from broadcaster import AnonymousEvent, BroadcastManager, Settings, __version__
from broadcaster.cluster.group import Group
from broadcaster.cluster.redis import redis_group
from broadcaster.protocol.limits import Limits
from broadcaster.server import Admin, App, ServerThread, Webhook
from broadcaster.signing import Credentials
from tests.drivers.redis_servers import RedisServer
from tests.programs import python
from tests.server.clients import APP, SECONDS, UPGRADE, call, client, flood_until_one_is_left, plain, raw
from tests.server.receiver import receiving
from tests.waits import until

OPENMETRICS = "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "monitor-the-server.md"


class Watched:
    """A server with metrics, as Prometheus sees it."""

    def __init__(self, server: ServerThread, admin: Admin) -> None:
        self.server = server
        self.port = server.port
        self.admin_port = admin.port

    def value(self, name: str, **labels: str) -> float | None:
        for family in parse_text(scrape(self.admin_port)[1]):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return None

    def becomes(self, value: float, name: str, **labels: str) -> None:
        until(lambda: self.value(name, **labels) == value)


def scrape(port: int, accept: str = "") -> tuple[str, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        assert response.status == 200
        return response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    with ServerThread([APP], port=0, admin=(admin := Admin(port=0))) as server:
        yield Watched(server, admin)


def test_both_formats_are_what_their_parsers_read(watched: Watched) -> None:
    with client(watched.port) as browser:
        browser.subscribe("orders")
        plain_type, text = scrape(watched.admin_port)
        open_type, openmetrics = scrape(watched.admin_port, OPENMETRICS)

    assert plain_type.startswith("text/plain; version=0.0.4")
    assert open_type.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.endswith("# EOF\n")
    told = {family.name for family in parse_openmetrics(openmetrics)}  # type: ignore[no-untyped-call]
    assert {"broadcaster_connections", "broadcaster_build", "broadcaster_http_requests"} <= told
    assert {family.name for family in parse_text(text)} >= told - {"broadcaster_build"}


@pytest.mark.parametrize(
    "accept", ["\x80", "application/openmetrics-text; version=x", "text/plain; version=x"]
)
def test_an_accept_that_makes_no_sense_is_no_error(watched: Watched, accept: str) -> None:
    assert "broadcaster_connections" in scrape(watched.admin_port, accept)[1]


def test_the_page_lists_every_metric_and_its_labels(watched: Watched) -> None:
    with client(watched.port) as browser:
        browser.subscribe("orders")
    row = re.compile(r"^\| `(\w+)` \| (?:gauge|counter|histogram) \| (.*?) \|", re.MULTILINE)
    rows = dict(row.findall(PAGE.read_text()))
    families = [family for family in parse_text(scrape(watched.admin_port)[1]) if family.type != "unknown"]
    told = {
        family.name
        + ("_total" if family.type == "counter" and not family.name.startswith("process_") else ""): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in families
    }
    told = {
        name.replace("process_cpu_seconds", "process_cpu_seconds_total"): labels
        for name, labels in told.items()
    }

    assert rows.keys() == told.keys()
    for name, labels in told.items():
        if labels:
            assert set(re.findall(r"`(\w+)`", rows[name])) == labels, name


def test_connections_channels_and_subscriptions_come_and_go(watched: Watched) -> None:
    with client(watched.port) as one, client(watched.port) as other:
        one.subscribe("orders")
        one.subscribe("news")
        other.subscribe("orders")

        assert watched.value("broadcaster_connections", app_id="3") == 2
        assert watched.value("broadcaster_channels", app_id="3") == 2
        assert watched.value("broadcaster_subscriptions", app_id="3") == 3

    watched.becomes(0, "broadcaster_connections", app_id="3")
    assert watched.value("broadcaster_channels", app_id="3") == 0
    assert watched.value("broadcaster_connections_opened_total", app_id="3") == 2
    watched.becomes(2, "broadcaster_connections_closed_total", app_id="3", code="1000")


@pytest.mark.parametrize(("sent", "told"), [(1001, "1001"), (4200, "4200"), (4711, "other"), (3000, "other")])
def test_a_close_code_of_the_client_is_one_of_a_few(watched: Watched, sent: int, told: str) -> None:
    with client(watched.port) as browser:
        browser.socket.close(sent)

    watched.becomes(1, "broadcaster_connections_closed_total", app_id="3", code=told)


def test_a_connection_that_breaks_off_is_1006(watched: Watched) -> None:
    with client(watched.port) as browser:
        browser.socket.socket.shutdown(socket.SHUT_RDWR)
        watched.becomes(1, "broadcaster_connections_closed_total", app_id="3", code="1006")


def test_a_connection_that_the_server_closes_has_the_code_of_the_server() -> None:
    app = replace(APP, limits=Limits(sign_in_timeout=1))
    with ServerThread([app], port=0, admin=(admin := Admin(port=0))) as server, client(server.port):
        Watched(server, admin).becomes(1, "broadcaster_connections_closed_total", app_id="3", code="4009")


def test_who_is_refused_is_counted_by_code_and_not_by_name(watched: Watched) -> None:
    with raw(watched.port) as connection:
        connection.sendall(b"GET /app/eve-was-here?protocol=7 HTTP/1.1\r\n" + UPGRADE)
        watched.becomes(1, "broadcaster_connections_refused_total", code="4001")

    assert "eve-was-here" not in scrape(watched.admin_port)[1]


def test_frames_are_counted_for_each_connection_that_gets_them(watched: Watched) -> None:
    with client(watched.port) as one, client(watched.port) as other:
        one.subscribe("orders")
        other.subscribe("orders")
        assert watched.value("broadcaster_frames_sent_total", app_id="3") == 4
        before = watched.value("broadcaster_sent_bytes_total", app_id="3")
        event = {"name": "paid", "channels": ["orders"], "data": "1", "socket_id": one.socket_id}
        assert call(watched.port, "POST", "/apps/3/events", event).status == 200
        size = len(json.dumps(other.receive()).replace(": ", ":").replace(", ", ","))

        assert watched.value("broadcaster_frames_sent_total", app_id="3") == 5
        assert before is not None
        assert watched.value("broadcaster_sent_bytes_total", app_id="3") == before + size + 2
        assert watched.value("broadcaster_frames_received_total", app_id="3") == 2


def test_events_are_counted_by_where_they_come_from(watched: Watched) -> None:
    batch = {"batch": [{"name": "a", "channel": "orders", "data": "1"}] * 3}
    with (
        client(watched.port) as one,
        BroadcastManager(Settings(default="local"), server=watched.server) as broadcast,
    ):
        one.subscribe("private-orders")
        call(watched.port, "POST", "/apps/3/batch_events", batch)
        broadcast.send(AnonymousEvent("a", on="orders", data={}))
        one.send("client-typing", channel="private-orders", data={})
        assert one.is_alive()

    for source, count in {"api": 3, "local": 1, "client": 1, "bus": 0}.items():
        assert watched.value("broadcaster_events_total", app_id="3", source=source) == count


def test_signatures_that_do_not_fit_are_counted(watched: Watched) -> None:
    with client(watched.port) as browser:
        browser.send("pusher:subscribe", data={"channel": "private-a", "auth": f"{APP.key}:{'0' * 64}"})
        browser.receive()
        browser.send("pusher:signin", data={"user_data": '{"id":"7"}', "auth": f"{APP.key}:{'0' * 64}"})
        browser.receive()
    call(watched.port, "GET", "/apps/3/channels", credentials=Credentials(APP.key, "wrong"))

    for kind in ("api", "channel", "user"):
        assert watched.value("broadcaster_signature_failures_total", app_id="3", kind=kind) == 1


def test_what_comes_too_fast_is_counted() -> None:
    limits = Limits(frames_per_second=5, frame_burst=5, client_events_per_second=1, api_requests_per_second=1)
    app = replace(APP, limits=limits)
    with (
        ServerThread([app], port=0, admin=(admin := Admin(port=0))) as server,
        client(server.port) as browser,
    ):
        watched = Watched(server, admin)
        while call(server.port, "GET", "/apps/3/channels").status == 200:
            pass
        browser.subscribe("private-orders")
        with suppress(ConnectionClosed):
            for _ in range(10):
                browser.send("client-typing", channel="private-orders", data={})

        watched.becomes(1, "broadcaster_rate_limited_total", app_id="3", kind="api")
        watched.becomes(1, "broadcaster_rate_limited_total", app_id="3", kind="frame")
        assert (watched.value("broadcaster_rate_limited_total", app_id="3", kind="client_event") or 0) >= 1


def test_requests_are_counted_and_timed_by_route(watched: Watched) -> None:
    call(watched.port, "GET", "/apps/3/channels/my-secret-channel")
    plain(watched.port, "GET", "/wp-login.php")

    route = "/apps/{app_id}/channels/{channel}"
    assert watched.value("broadcaster_http_requests_total", route=route, method="GET", status="200") == 1
    assert watched.value("broadcaster_http_requests_total", route="other", method="GET", status="404") == 1
    name = "broadcaster_http_request_duration_seconds"
    assert watched.value(f"{name}_count", route=route, method="GET") == 1
    assert watched.value(f"{name}_bucket", route=route, method="GET", le="+Inf") == 1
    text = scrape(watched.admin_port)[1]
    assert "my-secret-channel" not in text
    assert "wp-login" not in text


def test_a_slow_reader_is_counted(watched: Watched) -> None:
    flood_until_one_is_left(watched.server, watched.port)

    assert watched.value("broadcaster_slow_readers_total", app_id="3") == 1
    watched.becomes(1, "broadcaster_connections_closed_total", app_id="3", code="1006")


def test_the_lateness_of_the_loop_is_measured(watched: Watched) -> None:
    until(lambda: bool(watched.value("broadcaster_event_loop_lag_seconds_count")))


def test_what_is_running_is_told(watched: Watched) -> None:
    assert 'broadcaster_build_info{python="' in scrape(watched.admin_port)[1]
    assert f'version="{__version__}"' in scrape(watched.admin_port)[1]
    assert (watched.value("process_open_fds") or 0) > 0


def test_an_application_that_is_gone_is_gone_here_too() -> None:
    apps = [APP, App("9", "other-key", "other-secret")]
    with ServerThread(lambda: list(apps), port=0, admin=(admin := Admin(port=0))) as server:
        watched = Watched(server, admin)
        assert watched.value("broadcaster_connections", app_id="9") == 0
        del apps[1]
        asyncio.run_coroutine_threadsafe(server._server.reload(), server._loop).result(SECONDS)

        assert watched.value("broadcaster_connections", app_id="9") is None


def test_other_nodes_are_counted_both_ways(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password=None) as redis:

        def group() -> Group:
            return redis_group(redis.url(), seconds=1.0)

        with (
            ServerThread([APP], port=0, group=group(), admin=(first := Admin(port=0))) as server,
            ServerThread([APP], port=0, group=group(), admin=(second := Admin(port=0))) as peer,
        ):
            one, other = Watched(server, first), Watched(peer, second)
            for node in (one, other):
                node.becomes(1, "broadcaster_bus_connected")
            with client(peer.port) as browser:
                browser.subscribe("orders")
                call(
                    server.port, "POST", "/apps/3/events", {"name": "a", "channels": ["orders"], "data": "1"}
                )
                browser.receive()
                redis.client().publish("orders", "nonsense")
                redis.client().publish("orders", '{"event":"b","data":2}')
                browser.receive()
                other.becomes(1, "broadcaster_bus_messages_dropped_total", reason="unreadable")

            assert one.value("broadcaster_bus_messages_published_total") == 1
            assert other.value("broadcaster_bus_messages_heard_total") == 2
            assert other.value("broadcaster_events_total", app_id="3", source="bus") == 2
            redis.stop()
            one.becomes(0, "broadcaster_bus_connected")
            redis.start()
            one.becomes(1, "broadcaster_bus_connected")
            assert one.value("broadcaster_bus_interruptions_total") == 1


def test_what_comes_late_and_what_may_be_missing_is_counted() -> None:
    with ServerThread([replace(APP, history=("kept",))], port=0, admin=(admin := Admin(port=0))) as server:
        watched = Watched(server, admin)
        with client(server.port) as browser:
            last_id = browser.subscribe("kept")["id"]
            event = {"name": "a", "channels": ["kept"], "data": "1"}
            call(server.port, "POST", "/apps/3/events", event)
        for asked in (last_id, "nonsense"):
            with client(server.port) as browser:
                browser.send("pusher:subscribe", data={"channel": "kept", "last_id": asked})
                browser.receive()
                browser.receive()

        assert watched.value("broadcaster_history_replayed_total", app_id="3") == 1
        assert watched.value("broadcaster_history_gaps_total", app_id="3") == 1


def test_webhooks_are_counted() -> None:
    with receiving() as receiver:
        app = replace(APP, webhooks=(Webhook(receiver.url),))
        with ServerThread([app], port=0, admin=(admin := Admin(port=0))) as server:
            watched = Watched(server, admin)
            receiver.statuses = [500]
            with client(server.port) as browser:
                browser.subscribe("orders")
                watched.becomes(1, "broadcaster_webhook_requests_failed_total", app_id="3")
                watched.becomes(1, "broadcaster_webhook_events_sent_total", app_id="3")
                watched.becomes(0, "broadcaster_webhook_events_waiting", app_id="3")
                assert watched.value("broadcaster_webhook_events_dropped_total", app_id="3") == 0


def test_without_its_client_the_extra_is_named() -> None:
    program = (
        "from broadcaster import MissingExtra\nfrom broadcaster.server import Admin\n"
        "try:\n    Admin(port=0)\nexcept MissingExtra as error:\n    print(error)\n"
    )

    assert "pip install 'broadcaster-kit[prometheus]'" in python(program, without="prometheus_client")
