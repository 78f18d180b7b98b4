from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.cli.supervised import SECONDS, lives, running
from tests.drivers.redis_servers import RedisServer
from tests.server.clients import APP, Client, call, client, plain
from tests.waits import until

EVENT = {"name": "news", "channels": ["news"], "data": "1"}


def restart(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "broadcaster", "restart", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * SECONDS, check=False)


class Steady:
    """Does the same thing again and again, in a thread, and counts; the first failure ends it."""

    def __init__(self, what: Callable[[], None]) -> None:
        self.count = 0
        self.failure: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[what])
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(SECONDS)

    def _run(self, what: Callable[[], None]) -> None:
        try:
            # As often as a machine can bear that starts workers at the same time.
            while not self._over.wait(0.02):
                what()
                self.count += 1
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the test tells it
            self.failure = failure


def is_over(streams: Sequence[Steady], done: Sequence[int]) -> bool:
    """Whether each has done more than that, or one of them has failed."""
    is_done = all(stream.count > count for stream, count in zip(streams, done, strict=True))
    return is_done or any(stream.failure is not None for stream in streams)


@contextmanager
def steadily(*whats: Callable[[], None]) -> Iterator[list[Steady]]:
    streams = [Steady(what) for what in whats]
    try:
        yield streams
    finally:
        for stream in streams:
            stream.stop()


def test_workers_are_replaced_while_nobody_who_comes_is_refused_and_no_event_is_lost(tmp_path: Path) -> None:
    pidfile = str(tmp_path / "server.pid")
    codes: set[int | None] = set()
    heard: list[list[int]] = []
    numbers = count()

    with (
        RedisServer(tmp_path, password=None) as redis,
        running("--workers", "2", "--redis", redis.url(), "--pidfile", pidfile) as server,
    ):
        before = server.workers

        def visit() -> None:
            try:
                with client(server.port) as browser:
                    assert browser.subscribe("news")["event"] == "pusher_internal:subscription_succeeded"
            except ConnectionClosed as closed:
                # The worker that let it in was told to end a moment later.
                codes.add(closed.rcvd.code if closed.rcvd else None)

        def post() -> None:
            event = EVENT | {"data": str(next(numbers))}
            assert call(server.port, "POST", "/apps/3/events", event).status == 200

        def ask() -> None:
            kept.request("GET", "/livez")
            assert kept.getresponse().read()

        def stay() -> None:
            """Be connected, and come back from 4200."""
            with client(server.port) as browser:
                browser.subscribe("news")
                stretch: list[int] = []
                heard.append(stretch)
                codes.add(listen_until_closed(browser, stretch))

        with (
            closing(HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as kept,
            steadily(visit, post, ask) as streams,
            steadily(stay) as staying,
        ):
            until(lambda: is_over(streams, [5] * 3))
            result = restart("--pidfile", pidfile)
            after = server.workers
            done = [stream.count for stream in streams]
            until(lambda: is_over(streams, done))
            failures = [stream.failure for stream in (*streams, *staying)]
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(SECONDS) == 0

    assert failures == [None] * 4
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "broadcaster: workers replaced: 2"
    assert not before & after
    assert len(after) == 2
    assert codes == {4200}
    # Through two workers one event may overtake another: at either end of a stretch one may be missing.
    for stretch in filter(None, heard):
        assert set(stretch) >= set(range(min(stretch) + 2, max(stretch) - 1))
        assert len(set(stretch)) == len(stretch)
    assert sum(map(len, heard)) > 10


def listen_until_closed(browser: Client, heard: list[int]) -> int | None:
    """Add the numbers of the events that come; return the close code."""
    try:
        while True:
            heard.append(int(browser.receive()["data"]))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_one_worker_alone_is_replaced_as_well_and_reads_its_configuration_anew(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    table = f'[[apps]]\nid = "{APP.id}"\nkey = "{APP.key}"\nsecret = "{APP.secret}"\n'
    file.write_text(table)
    pidfile = str(tmp_path / "server.pid")

    with (
        running("--pidfile", pidfile, "--config", str(file)) as server,
        client(server.port) as browser,
    ):
        file.write_text(table.replace(APP.key, "another"))

        result = restart("--pidfile", pidfile)

        assert result.returncode == 0, result.stderr
        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4200
        with client(server.port, key="another") as other:
            assert other.is_alive()


def test_a_worker_that_cannot_start_replaces_nobody(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'[[apps]]\nid = "{APP.id}"\nkey = "{APP.key}"\nsecret = "{APP.secret}"\n')
    pidfile = str(tmp_path / "server.pid")

    with (
        running("--workers", "1", "--pidfile", pidfile, "--config", str(file)) as server,
        client(server.port) as browser,
    ):
        before = server.workers
        file.write_text("[[apps]]\nid = 1\n")

        result = restart("--pidfile", pidfile)

        assert result.returncode == 1
        assert "apps[0].id: Input should be a valid string" in result.stderr
        assert result.stderr.endswith("what ran before goes on\n")
        until(lambda: server.workers == before, seconds=SECONDS)
        assert browser.is_alive()


def test_a_server_is_found_by_its_port(tmp_path: Path) -> None:
    with running("--workers", "1") as server:
        result = restart("--port", str(server.port))

    assert (result.returncode, result.stderr) == (0, "")


def test_a_server_that_was_killed_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    pidfile = tmp_path / "server.pid"
    with running("--pidfile", str(pidfile)) as server:
        [worker] = server.workers
        server.process.kill()
        server.process.wait(SECONDS)
        until(lambda: not lives(worker))
    # Another process has its number meanwhile: this one, which would end.
    pidfile.write_text(f'{os.getpid()}\n{{"number": 0, "state": "done", "said": ""}}\n')

    result = restart("--pidfile", str(pidfile))

    assert result.returncode == 1
    assert result.stderr.startswith(f"broadcaster: no server with workers runs that wrote '{pidfile}'")


def test_the_file_is_gone_when_the_server_is(tmp_path: Path) -> None:
    pidfile = tmp_path / "server.pid"
    with running("--pidfile", str(pidfile)) as server:
        written = pidfile.read_text().splitlines()[0]
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(SECONDS)

    assert written == str(server.process.pid)
    assert not pidfile.exists()


def test_a_file_that_another_server_has_is_named(tmp_path: Path) -> None:
    pidfile = str(tmp_path / "server.pid")
    with running("--pidfile", pidfile):
        command = [sys.executable, "-m", "broadcaster", "serve", "--dev", "--port", "0", "--pidfile", pidfile]
        second = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert second.returncode == 1
    assert second.stderr.startswith(f"broadcaster: another server has the pid file '{pidfile}'")


def test_a_signal_does_the_same_as_the_command(tmp_path: Path) -> None:
    with running("--pidfile", str(tmp_path / "server.pid")) as server:
        before = server.workers

        server.process.send_signal(signal.SIGUSR2)

        server.hear("workers replaced: 1")
        assert not server.workers & before
        assert plain(server.port, "GET", "/livez").status == 200
