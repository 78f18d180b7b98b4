from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from broadcaster import AnonymousEvent, BroadcastManager, Settings
from broadcaster.server import App, ServerThread
from tests.ports import free_port
from tests.programs import broadcaster

DEV = App("1", "app-key", "app-secret")
SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[ServerThread]:
    with ServerThread([DEV], port=0) as server:
        yield server


def listening(
    *arguments: str, stdout: int = subprocess.PIPE, env: Mapping[str, str] | None = None
) -> AbstractContextManager[subprocess.Popen[str]]:
    return broadcaster("listen", *arguments, stdout=stdout, env=env)


def send(server: ServerThread, channel: str, name: str, data: object) -> None:
    with BroadcastManager(Settings(default="local"), server=server) as broadcast:
        broadcast.send(AnonymousEvent(name, on=channel, data={"says": data}))


def told(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_every_event_is_a_line_of_json_where_there_is_no_terminal(server: ServerThread) -> None:
    with listening("private-orders", "--port", str(server.port), "--count", "2") as process:
        assert (
            told(process) == "broadcaster: listening to the private channel private-orders; Ctrl-C ends it\n"
        )
        send(server, "private-orders", "news", "ü")
        send(server, "private-orders", "more", 2)
        output, _ = process.communicate(timeout=SECONDS)

    assert [json.loads(line) for line in output.splitlines()] == [
        {"event": "news", "channel": "private-orders", "data": {"says": "ü"}},
        {"event": "more", "channel": "private-orders", "data": {"says": 2}},
    ]
    assert process.returncode == 0


def test_only_the_events_that_are_named_are_shown(server: ServerThread) -> None:
    options = ["--port", str(server.port), "--count", "1", "--event", "more", "--event", "most"]
    with listening("orders", *options) as process:
        told(process)
        send(server, "orders", "news", 1)
        send(server, "orders", "most", 2)
        output, _ = process.communicate(timeout=SECONDS)

    assert json.loads(output)["event"] == "most"


def test_ctrl_c_ends_it_in_peace(server: ServerThread) -> None:
    with listening("orders", "--port", str(server.port)) as process:
        told(process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, output, errors) == (0, "", "")


def test_a_person_sees_the_time_the_event_and_what_it_says_and_nothing_that_steers_the_terminal(
    server: ServerThread,
) -> None:
    ours, theirs = pty.openpty()
    with listening("orders", "--port", str(server.port), "--count", "1", stdout=theirs) as process:
        told(process)
        send(server, "orders", "news", "\x1b[2Jhello")
        process.wait(SECONDS)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert "news" in shown
    assert "hello" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--key", "nobody"], "4001: No application has the key 'nobody'"),
        (["--secret", "wrong"], "not allowed to join 'private-orders': the server refused"),
    ],
)
def test_a_refusal_says_why(server: ServerThread, arguments: list[str], reason: str) -> None:
    with listening("private-orders", "--port", str(server.port), *arguments) as process:
        _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert reason in errors


def test_a_channel_that_cannot_be_is_refused_at_once(server: ServerThread) -> None:
    with listening("a b", "--port", str(server.port)) as process:
        _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert "invalid channel name 'a b'" in errors


def test_a_server_that_is_not_there_is_waited_for_and_said() -> None:
    with listening("orders", "--port", str(free_port())) as process:
        assert "connection lost" in (line := told(process))
        assert "refused" in line or "Connect call failed" in line


def test_the_variables_of_the_driver_are_read(server: ServerThread) -> None:
    port, keys = str(server.port), {"PUSHER_APP_KEY": "app-key", "PUSHER_APP_SECRET": "app-secret"}
    with listening("private-orders", "--count", "1", env={"PUSHER_PORT": port, **keys}) as process:
        told(process)
        send(server, "private-orders", "news", 1)
        output, _ = process.communicate(timeout=SECONDS)

    assert "news" in output


def test_an_encrypted_channel_is_read_with_the_key_of_the_sender(server: ServerThread) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    options = {"driver": "local", "encryption_master_key": key}
    settings = Settings.from_dict({"driver": "local", "drivers": {"local": options}})
    arguments = ("private-encrypted-safe", "--port", str(server.port), "--count", "1")
    with listening(*arguments, env={"PUSHER_ENCRYPTION_MASTER_KEY": key}) as process:
        told(process)
        with BroadcastManager(settings, server=server) as broadcast:
            broadcast.send(AnonymousEvent("news", on="private-encrypted-safe", data={"says": "psst"}))
        output, _ = process.communicate(timeout=SECONDS)

    assert json.loads(output)["data"] == {"says": "psst"}
