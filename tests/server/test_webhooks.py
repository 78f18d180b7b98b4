from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broadcaster.protocol.effects import Notify
from broadcaster.server import App, Server, ServerThread, Webhook
from broadcaster.server.webhooks import Webhooks
from broadcaster.signing import Credentials
from tests.ports import free_port
from tests.server.clients import APP, call, client
from tests.server.receiver import Receiver, receiving
from tests.waits import auntil


@contextmanager
def serving(webhook: Webhook, *, app: App = APP, buffer: Path | None = None) -> Iterator[ServerThread]:
    apps = [replace(app, webhooks=(webhook,))]
    with ServerThread(apps, port=0, webhook_buffer=buffer) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def news(number: int, channel: str = "a") -> Notify:
    return Notify("cache_miss", f"{channel}{number}")


# From a client to the application


def test_every_kind_of_news_arrives_in_the_shape_of_the_protocol(receiver: Receiver) -> None:
    app = replace(APP, subscription_counts=True)

    with serving(Webhook(receiver.url), app=app) as server, client(server.port) as ann:
        ann.subscribe("presence-cache-a", user_id="ann")
        ann.send("client-x", channel="presence-cache-a", data={"on": True})
        ann.receive()
        ann.subscribe("b")
        receiver.wait(lambda: len(receiver.events) == 6)
        socket_id = ann.socket_id
        events = [event for body in receiver.bodies for event in json.loads(body)["events"]]

    assert events == [
        {"name": "channel_occupied", "channel": "presence-cache-a"},
        {"name": "member_added", "channel": "presence-cache-a", "user_id": "ann"},
        {"name": "cache_miss", "channel": "presence-cache-a"},
        {
            "name": "client_event",
            "channel": "presence-cache-a",
            "event": "client-x",
            "data": '{"on":true}',
            "socket_id": socket_id,
            "user_id": "ann",
        },
        {"name": "channel_occupied", "channel": "b"},
        {"name": "subscription_count", "channel": "b", "subscription_count": 1},
    ]


def test_a_request_is_signed_and_says_json_and_nothing_else(receiver: Receiver) -> None:
    webhook = Webhook(receiver.url, headers={"Authorization": "Bearer x"})

    with serving(webhook) as server, client(server.port) as ann:
        ann.subscribe("a")
        receiver.wait(lambda: receiver.events)

    headers = receiver.headers[0]
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Pusher-Key"] == APP.key
    assert headers["Authorization"] == "Bearer x"
    assert abs(json.loads(receiver.bodies[0])["time_ms"] / 1000 - time.time()) < 10


def test_who_goes_and_does_not_come_back_is_told_after_three_seconds(receiver: Receiver) -> None:
    with serving(Webhook(receiver.url)) as server:
        with client(server.port) as ann:
            ann.subscribe("presence-a", user_id="ann")
            gone = time.monotonic()
        receiver.wait(lambda: len(receiver.events) == 4)

    assert receiver.told == [
        ("channel_occupied", "presence-a"),
        ("member_added", "presence-a"),
        ("member_removed", "presence-a"),
        ("channel_vacated", "presence-a"),
    ]
    assert time.monotonic() - gone > 2.5


def test_a_page_that_is_reloaded_makes_no_news(receiver: Receiver) -> None:
    with serving(Webhook(receiver.url)) as server:
        with client(server.port) as ann:
            ann.subscribe("a")
        with client(server.port) as ann:
            ann.subscribe("a")
            ann.subscribe("b")
            receiver.wait(lambda: ("channel_occupied", "b") in receiver.told)

            assert receiver.told == [("channel_occupied", "a"), ("channel_occupied", "b")]


def test_a_webhook_hears_what_it_asked_for_only(receiver: Receiver) -> None:
    webhook = Webhook(receiver.url, events=("channel_occupied",), channels=("b*",))

    with serving(webhook) as server, client(server.port) as ann:
        ann.subscribe("a")
        ann.subscribe("b1")
        receiver.wait(lambda: receiver.events)

    assert receiver.told == [("channel_occupied", "b1")]


def test_a_server_that_stops_tells_that_everybody_has_gone(receiver: Receiver) -> None:
    with serving(Webhook(receiver.url)) as server, client(server.port) as ann:
        ann.subscribe("a")
        server.stop()

    assert receiver.told == [("channel_occupied", "a"), ("channel_vacated", "a")]


def test_a_receiver_that_hangs_delays_nobody(receiver: Receiver) -> None:
    receiver.hold.clear()

    with serving(Webhook(receiver.url)) as server, client(server.port) as ann:
        ann.subscribe("a")
        receiver.wait(lambda: receiver.bodies)
        assert ann.is_alive()
        assert (
            call(server.port, "POST", "/apps/3/events", {"name": "e", "channels": ["a"], "data": "{}"}).status
            == 200
        )
        assert ann.receive()["event"] == "e"
        receiver.hold.set()
        receiver.wait(lambda: receiver.events)


# Delivery, on a loop of the test


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "broadcaster.server"):
        yield caplog


@pytest.fixture
def app(receiver: Receiver) -> App:
    return replace(APP, webhooks=(Webhook(receiver.url),))


def started(*apps: App, path: Path | None = None) -> Webhooks:
    webhooks = Webhooks(path, first_pause=0.01)
    webhooks.update(apps)
    webhooks.start()
    return webhooks


async def until(receiver: Receiver, count: int) -> None:
    await asyncio.to_thread(receiver.wait, lambda: len(receiver.events) >= count)


async def test_what_gathers_during_a_request_goes_out_together_and_in_order(
    receiver: Receiver, app: App
) -> None:
    receiver.hold.clear()
    webhooks = started(app)
    webhooks.tell(app.id, news(0), 0.0)
    await asyncio.to_thread(receiver.wait, lambda: receiver.bodies)
    for number in range(1, 251):
        webhooks.tell(app.id, news(number), 0.0)
    receiver.hold.set()

    await until(receiver, 251)
    await webhooks.aclose(1.0)

    assert [event.channel for event in receiver.events] == [f"a{number}" for number in range(251)]
    assert [len(events) for events in receiver.requests] == [1, 100, 100, 50]


async def test_without_batches_every_event_has_a_request_of_its_own(receiver: Receiver, app: App) -> None:
    app = replace(app, webhooks=(Webhook(receiver.url, events_per_request=1),))
    webhooks = started(app)
    for number in range(20):
        webhooks.tell(app.id, news(number), 0.0)

    await until(receiver, 20)
    await webhooks.aclose(1.0)

    assert [len(events) for events in receiver.requests] == [1] * 20


@pytest.mark.parametrize("status", [500, 503, 404, 302, 301, 429])
async def test_what_is_not_taken_is_sent_again_word_for_word(
    receiver: Receiver, app: App, status: int
) -> None:
    receiver.statuses = [status, status]
    webhooks = started(app)

    webhooks.tell(app.id, news(1), 0.0)
    await until(receiver, 1)
    await webhooks.aclose(1.0)

    assert len(receiver.bodies) == 3
    assert len(set(receiver.bodies)) == 1


async def test_a_receiver_that_is_not_there_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    app = replace(APP, webhooks=(Webhook(f"http://127.0.0.1:{port}/hooks?token=hush"),))

    with logged(caplog):
        webhooks = started(app)
        webhooks.tell(app.id, news(1), 0.0)
        await auntil(lambda: "no answer" in caplog.text)
        with receiving(port) as receiver:
            await until(receiver, 1)
            await webhooks.aclose(1.0)

    assert receiver.told == [("cache_miss", "a1")]
    assert (
        "webhook of app 3 at 127.0.0.1: no answer (ClientConnectorError); next try in 0 s, events: 1"
        in caplog.text
    )
    assert "hush" not in caplog.text


async def test_what_nobody_takes_in_time_is_dropped_and_said(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [500] * 1000
    app = replace(APP, webhooks=(Webhook(receiver.url, retry_seconds=0),))
    webhooks = started(app)

    with logged(caplog):
        webhooks.tell(app.id, news(1), 0.0)
        await auntil(lambda: "dropped" in caplog.text)
        await webhooks.aclose(1.0)

    assert "events dropped: 1 (status 500)" in caplog.text


async def test_more_than_may_wait_is_dropped_and_said(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.hold.clear()
    app = replace(APP, webhooks=(Webhook(receiver.url, waiting=5),))
    webhooks = started(app)

    with logged(caplog):
        for number in range(20):
            webhooks.tell(app.id, news(number), 0.0)
        receiver.hold.set()
        await until(receiver, 5)
        await webhooks.aclose(1.0)

    assert [event.channel for event in receiver.events] == ["a0", "a1", "a2", "a3", "a4"]
    assert "too many wait" in caplog.text


async def test_applications_are_never_mixed_and_each_signs_for_itself(receiver: Receiver, app: App) -> None:
    other_app = App("other", "other-key", "other-secret")
    with receiving(credentials=Credentials("other-key", "other-secret")) as other:
        webhooks = started(app, replace(other_app, webhooks=(Webhook(other.url),)))
        for number in range(10):
            webhooks.tell(app.id, news(number, "mine"), 0.0)
            webhooks.tell("other", news(number, "other"), 0.0)
            webhooks.tell("unknown", news(number), 0.0)
        await until(receiver, 10)
        await until(other, 10)
        await webhooks.aclose(1.0)

    assert {event.channel[:4] for event in receiver.events} == {"mine"}
    assert {event.channel[:5] for event in other.events} == {"other"}


async def test_one_receiver_that_is_down_does_not_hold_up_another(receiver: Receiver) -> None:
    down = Webhook(f"http://127.0.0.1:{free_port()}/")
    app = replace(APP, webhooks=(down, Webhook(receiver.url)))
    webhooks = started(app)

    webhooks.tell(app.id, news(1), 0.0)
    await until(receiver, 1)
    await webhooks.aclose(0.0)

    assert receiver.told == [("cache_miss", "a1")]


async def test_new_webhooks_are_told_from_now_on_and_old_ones_no_more(receiver: Receiver, app: App) -> None:
    with receiving() as other:
        webhooks = started(app)
        webhooks.tell(app.id, news(1), 0.0)
        await until(receiver, 1)
        webhooks.update([replace(app, webhooks=(Webhook(other.url),))])
        webhooks.tell(app.id, news(2), 0.0)
        await until(other, 1)
        await webhooks.aclose(1.0)

    assert [event.channel for event in receiver.events] == ["a1"]
    assert [event.channel for event in other.events] == ["a2"]


async def test_a_server_that_is_reloaded_gets_its_first_webhook(receiver: Receiver) -> None:
    apps = [APP]
    async with Server(lambda: apps, port=0) as server:
        apps[0] = replace(APP, webhooks=(Webhook(receiver.url),))
        assert await server.reload()
        await asyncio.to_thread(_visit, server.port)
        await until(receiver, 1)

    assert receiver.told[0] == ("channel_occupied", "a")


def _visit(port: int) -> None:
    with client(port) as ann:
        ann.subscribe("a")


async def test_what_waits_in_a_file_is_told_by_the_next_server(receiver: Receiver, tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    port = free_port()
    app = replace(APP, webhooks=(Webhook(f"http://127.0.0.1:{port}/hooks"),))
    webhooks = started(app, path=path)
    for number in range(3):
        webhooks.tell(app.id, news(number), 0.0)
    await webhooks.aclose(0.0)

    with receiving(port) as later:
        webhooks = started(app, path=path)
        await until(later, 3)
        await webhooks.aclose(1.0)

    assert [event.channel for event in later.events] == ["a0", "a1", "a2"]


CONFIG = """
[[apps]]
id = "{app.id}"
key = "{app.key}"
secret = "{app.secret}"

[[apps.webhooks]]
url = "http://127.0.0.1:{port}/hooks"
events = ["channel_occupied"]
"""


@contextmanager
def process(config: Path, buffer: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    command = [sys.executable, "-m", "broadcaster", "serve", "--port", str(port)]
    command += ["--config", str(config), "--webhook-buffer", str(buffer)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        try:
            assert "listening" in served.stderr.readline()
            yield served, port
        finally:
            served.kill()
            served.stderr.close()


def test_a_server_that_was_killed_tells_after_its_restart_what_it_had_to_tell(tmp_path: Path) -> None:
    hooks, config, buffer = free_port(), tmp_path / "server.toml", tmp_path / "hooks.db"
    config.write_text(CONFIG.format(app=APP, port=hooks))

    with process(config, buffer) as (served, port), client(port) as ann:
        ann.subscribe("a")
        assert served.stderr is not None
        assert "no answer" in served.stderr.readline()
        served.send_signal(signal.SIGKILL)
        served.wait(10)
    with receiving(hooks) as receiver, process(config, buffer):
        receiver.wait(lambda: receiver.events)

    assert receiver.told == [("channel_occupied", "a")]
