from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.children import START, Child
from tests.ports import free_port
from tests.server.clients import APP, client, plain
from tests.waits import until

from .files import DEPLOY, ROOT, compose, dockerfile, interpolated
from .nodes import clean_environment

SECONDS = 30
FILLED_IN = {
    "PUSHER_APP_ID": APP.id,
    "PUSHER_APP_KEY": APP.key,
    "PUSHER_APP_SECRET": APP.secret,
    "REDIS_PASSWORD": "0123456789abcdef",
}
NODES = ("node-1", "node-2")


def example() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def test_it_fits_the_schema_of_compose() -> None:
    tool = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [tool, "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert result.returncode == 0, result.stdout


def test_what_is_copied_and_not_filled_in_does_not_start() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    filled_in = example() | FILLED_IN

    for name in FILLED_IN:
        with pytest.raises(KeyError, match=name):
            interpolated(text, {**filled_in, name: ""})
    assert interpolated(text, filled_in)
    assert set(filled_in) == set(re.findall(r"\$\{(\w+)", text))


def test_no_secret_has_a_value_in_the_files() -> None:
    assert [name for name in FILLED_IN if name != "PUSHER_APP_ID" and example()[name]] == []


def test_what_a_service_is_built_from_is_there() -> None:
    for one in compose()["services"].values():
        if build := one.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
            assert build["target"] in dockerfile()
        for volume in one.get("volumes", []):
            assert (DEPLOY / volume.split(":")[0]).exists()


def test_every_address_is_in_the_network_and_the_nodes_believe_nginx_only() -> None:
    addresses = {
        name: one["networks"]["inside"]["ipv4_address"] for name, one in compose()["services"].items()
    }
    network = ip_network(compose()["networks"]["inside"]["ipam"]["config"][0]["subnet"])

    assert len(set(addresses.values())) == len(addresses)
    assert all(ip_address(address) in network for address in addresses.values())
    for name in NODES:
        words = service(name)["command"]
        assert words[words.index("--trusted-proxy") + 1] == addresses["nginx"]
    words = service("app")["command"]
    assert words[words.index("--forwarded-allow-ips") + 1] == addresses["nginx"]


def test_only_nginx_is_reached_from_outside() -> None:
    assert [name for name, one in compose()["services"].items() if "ports" in one] == ["nginx"]


def test_a_node_has_more_time_to_stop_than_it_takes() -> None:
    for name in NODES:
        assert int(service(name)["stop_grace_period"].removesuffix("s")) > 35


class Started:
    """What compose starts, started here without it, on free ports of this machine."""

    def __init__(self, running: ExitStack) -> None:
        self._running = running
        self.ports = {"redis": free_port(), "node-1": 0, "node-2": 0, "app": 0}

    def start(self, name: str, *command: str) -> Child:
        child = Child(*command, env=clean_environment() | self.environment(name), stdout=None)
        self._running.callback(child.end, signal.SIGTERM)
        return child

    def environment(self, name: str) -> dict[str, str]:
        return {variable: self.here(value) for variable, value in service(name)["environment"].items()}

    def here(self, text: str) -> str:
        redis = f"@127.0.0.1:{self.ports['redis']}"
        return interpolated(text, FILLED_IN).replace("@redis:6379", redis)


@pytest.fixture
def started() -> Iterator[Started]:
    with ExitStack() as running:
        all_of_it = Started(running)
        _start_redis(all_of_it)
        for name in NODES:
            words = _at_free_port(service(name)["command"])
            child = all_of_it.start(name, sys.executable, "-m", "broadcaster", *words)
            all_of_it.ports[name] = port = _port(child, r"listening on http://127\.0\.0\.1:(\d+)")
            until(lambda port=port: plain(port, "GET", "/readyz").status == 200, seconds=START)  # type: ignore[misc]
        words = _at_free_port(service("app")["command"])
        where = ["--app-dir", str(ROOT / "examples")]
        child = all_of_it.start("app", sys.executable, "-m", words[0], *where, *words[1:])
        all_of_it.ports["app"] = _port(child, r"running on http://127\.0\.0\.1:(\d+)")
        all_of_it.start("worker", sys.executable, "-m", "broadcaster", *service("worker")["command"])
        yield all_of_it


def _start_redis(started: Started) -> None:
    shell, option, script = service("redis")["command"]
    port = str(started.ports["redis"])
    where = f"redis-server - --port {port} --bind 127.0.0.1 "
    started.start("redis", shell, option, interpolated(script, {}).replace("redis-server - ", where))
    _, *asks = service("redis")["healthcheck"]["test"]
    env = clean_environment() | started.environment("redis")

    def answers() -> bool:
        command = [asks[0], "-p", port, *asks[1:]]
        result = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, env=env)
        return result.stdout == b"PONG\n"

    until(answers, seconds=START)


def _at_free_port(words: list[str]) -> list[str]:
    changed = list(words)
    changed[changed.index("--host") + 1] = "127.0.0.1"
    changed[changed.index("--port") + 1] = "0"
    return changed


def _port(child: Child, pattern: str) -> int:
    return int(child.hear(pattern, seconds=START)[1])


def test_what_is_said_in_the_application_is_heard_on_every_node(started: Started) -> None:
    url = f"http://127.0.0.1:{started.ports['app']}"
    with ExitStack() as open_ones:
        http = open_ones.enter_context(httpx.Client(base_url=url, timeout=SECONDS))
        http.post("/login", data={"name": "ann"}).raise_for_status()
        browsers = [open_ones.enter_context(client(started.ports[name])) for name in NODES]
        for browser in browsers:
            question = {"socket_id": browser.socket_id, "channel_name": "presence-rooms.lobby"}
            leave: Mapping[str, str] = http.post("/broadcasting/auth", data=question).json()
            browser.send("pusher:subscribe", data={"channel": "presence-rooms.lobby", **leave})
            assert browser.receive()["event"] == "pusher_internal:subscription_succeeded"

        http.post("/say", data={"text": "hello"}).raise_for_status()

        assert [json.loads(browser.receive()["data"])["text"] for browser in browsers] == ["hello"] * 2


def test_what_the_application_queues_is_delivered_by_the_worker(started: Started) -> None:
    program = """
from broadcaster import AnonymousEvent, BroadcastManager, ShouldQueue

class Said(AnonymousEvent, ShouldQueue):
    pass

with BroadcastManager.from_env() as broadcast:
    broadcast.send(Said("said", on="lobby", data={"text": "later"}))
"""
    with client(started.ports["node-1"]) as browser:
        browser.subscribe("lobby")

        env = clean_environment() | started.environment("app")
        subprocess.run([sys.executable, "-c", program], env=env, timeout=SECONDS, check=True)

        assert json.loads(browser.receive()["data"]) == {"text": "later"}


def test_redis_takes_nobody_without_the_password(started: Started) -> None:
    command = ["redis-cli", "-p", str(started.ports["redis"]), "ping"]

    result = subprocess.run(
        command, capture_output=True, timeout=SECONDS, check=False, env=clean_environment()
    )

    assert b"NOAUTH" in result.stdout
