from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tests.cli.supervised import CREDENTIALS, SECONDS, Running, lives, running
from tests.drivers.redis_servers import RedisServer
from tests.ports import listens
from tests.programs import broadcaster
from tests.server.clients import APP, Client, call, client, plain, stalled
from tests.waits import until

NEWS = {"name": "news", "channels": ["news"], "data": "1"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with RedisServer(tmp_path, password=None) as server:
        yield server.url()


@contextmanager
def clients(port: int, count: int) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(port)) for _ in range(count)]


def is_ready(port: int) -> bool:
    return plain(port, "GET", "/readyz").status == 200


def connections_at(metrics: int) -> int:
    told = re.search(r'broadcaster_connections{app_id="3"} (\d+)', plain(metrics, "GET", "/metrics").body)
    assert told is not None
    return int(told[1])


def test_workers_share_the_clients_and_each_hears_an_event_once(redis: str) -> None:
    with running("--workers", "2", "--redis", redis, "--metrics-port", "0") as server:
        metrics = [int(server.hear(r"metrics on http://127\.0\.0\.1:(\d+)")[1]) for _ in range(2)]
        until(lambda: all(map(is_ready, metrics)))
        with clients(server.port, 16) as browsers:
            for browser in browsers:
                browser.subscribe("news")
            shares = [connections_at(port) for port in metrics]

            assert call(server.port, "POST", "/apps/3/events", NEWS).status == 200

            assert [browser.receive()["event"] for browser in browsers] == ["news"] * 16
            assert all(browser.is_alive() for browser in browsers)

    assert sum(shares) == 16
    assert min(shares) > 0


def test_a_worker_that_is_killed_is_started_again_and_its_members_leave_once(redis: str) -> None:
    with (
        running("--workers", "2", "--redis", redis, "--metrics-port", "0") as server,
        clients(server.port, 8) as browsers,
    ):
        metrics = [int(server.hear(r"metrics on http://127\.0\.0\.1:(\d+)")[1]) for _ in range(2)]
        until(lambda: all(map(is_ready, metrics)))
        for number, browser in enumerate(browsers):
            browser.subscribe("presence-room", user_id=str(number))
        shares = [connections_at(port) for port in metrics]

        os.kill(min(server.workers), signal.SIGKILL)

        number = int(server.hear(r"worker (\d) was ended by SIGKILL; the next one starts")[1])
        until(lambda: sum(map(is_cut_off, browsers)) == shares[number - 1])
        gone = [str(number) for number, browser in enumerate(browsers) if is_cut_off(browser)]
        left = [removed(browser, len(gone)) for browser in browsers]
        until(lambda: all(map(is_ready, metrics)), seconds=SECONDS)
        assert len(server.workers) == 2

    assert left == [None if str(number) in gone else gone for number in range(8)]


def test_who_comes_while_a_worker_is_away_is_served_by_the_next_one() -> None:
    with running("--workers", "1") as server:
        [worker] = server.workers
        os.kill(worker, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as waiting:
            waiting.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")

            os.kill(worker, signal.SIGKILL)

            assert waiting.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_send_their_clients_away_and_everything_ends_in_time(
    redis: str, number: signal.Signals
) -> None:
    options = ("--workers", "2", "--redis", redis, "--drain-seconds", "1", "--grace-seconds", "4")
    with (
        ThreadPoolExecutor(30) as threads,
        running(*options) as server,
        clients(server.port, 30) as browsers,
    ):
        workers = server.workers
        ends = threads.map(end_of, browsers)
        start = time.monotonic()

        server.process.send_signal(number)

        closes = list(ends)
        assert server.process.wait(SECONDS) == 0
        # Sooner than without the options, on however busy a machine.
        assert time.monotonic() - start < 9
        server.hear("stopped")
    assert {code for code, _ in closes} == {4200}
    assert max(when for _, when in closes) - min(when for _, when in closes) > 0.1
    assert not any(map(lives, workers))


def end_of(browser: Client) -> tuple[int | None, float]:
    try:
        while True:
            browser.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None, time.monotonic()


def is_cut_off(browser: Client) -> bool:
    return browser.socket.protocol.state is State.CLOSED


def removed(browser: Client, count: int) -> list[str] | None:
    """Return who leaves, *count* of them and whoever leaves besides; None where the client is cut off."""
    found: list[str] = []
    try:
        while len(found) < count:
            frame = json.loads(browser.socket.recv(timeout=SECONDS))
            if frame["event"] == "pusher_internal:member_removed":
                found.append(json.loads(frame["data"])["user_id"])
        browser.send("pusher:ping", data={})
        while (frame := browser.receive())["event"] != "pusher:pong":
            found.append(frame["event"])
    except ConnectionClosed:
        return None
    return sorted(found)


def test_a_second_signal_ends_everything_at_once(redis: str) -> None:
    options = ("--workers", "2", "--redis", redis, "--drain-seconds", "40", "--grace-seconds", "60")
    with running(*options) as server, stalled(server.port, "news"):
        workers = server.workers
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not listens(server.port))

        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(SECONDS) == -signal.SIGTERM
        until(lambda: not any(map(lives, workers)))


def test_no_worker_outlives_a_supervisor_that_is_killed(redis: str) -> None:
    with running("--workers", "2", "--redis", redis) as server, clients(server.port, 4):
        workers = server.workers

        server.process.kill()

        until(lambda: not any(map(lives, workers)), seconds=SECONDS)
    assert len(workers) == 2


def test_sighup_reaches_every_worker(redis: str, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    table = f'[[apps]]\nid = "{APP.id}"\nkey = "{APP.key}"\nsecret = "{APP.secret}"\n'
    file.write_text(table)
    with running("--workers", "2", "--redis", redis, "--config", str(file), "-v") as server:
        file.write_text(table.replace(APP.key, "another"))

        server.process.send_signal(signal.SIGHUP)

        heard = {server.hear(r"INFO worker (\d): applications reloaded")[1] for _ in range(2)}
        with client(server.port, key="another") as browser:
            assert browser.is_alive()
    assert heard == {"1", "2"}


def test_webhooks_of_each_worker_wait_in_a_file_of_its_own(redis: str, tmp_path: Path) -> None:
    app = {"id": APP.id, "key": APP.key, "secret": APP.secret, "webhooks": [{"url": "http://127.0.0.1:1/"}]}
    options = ("--workers", "2", "--redis", redis, "--webhook-buffer", str(tmp_path / "hooks.db"))
    env = {"BROADCAST_APPS": json.dumps([app])}
    with broadcaster("serve", "--port", "0", *options, env=env) as process:
        Running(process)

        assert {path.name for path in tmp_path.glob("hooks.db-?")} == {"hooks.db-1", "hooks.db-2"}


# What keeps it from starting


def told(*options: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    with broadcaster("serve", *options, env=CREDENTIALS if env is None else env) as process:
        _, text = process.communicate(timeout=SECONDS)
    return process.returncode, text


def test_several_workers_need_a_redis_to_hear_each_other() -> None:
    told_so = "broadcaster: 2 workers hear each other through Redis: add --redis redis://host:6379\n"

    assert told("--workers", "2") == (1, told_so)


def test_a_mistake_in_the_configuration_is_one_line_however_many_workers_there_are() -> None:
    status, text = told("--workers", "3", "--redis", "redis://127.0.0.1:1", "--port", "0", env={})

    assert status == 1
    assert text.startswith("broadcaster: missing PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET")
    assert len(text.splitlines()) == 1


def test_a_port_in_use_is_one_line_although_workers_could_share_it(redis: str) -> None:
    options = ("--workers", "2", "--redis", redis)
    with running(*options) as server:
        status, text = told(*options, "--port", str(server.port))

    assert status == 1
    assert text.startswith(f"broadcaster: cannot listen on 127.0.0.1:{server.port}: another program does")
    assert len(text.splitlines()) == 1


def test_so_is_a_port_for_metrics_that_does_not_exist() -> None:
    options = ("--workers", "2", "--redis", "redis://127.0.0.1:1", "--port", "0", "--metrics-port", "65535")

    assert told(*options) == (1, "broadcaster: there is no port 65536 for the metrics of worker 2\n")
