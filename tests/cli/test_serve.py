import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed

from broadcaster.signing import Credentials
from tests.drivers.redis_servers import RedisServer, cluster, watched
from tests.ports import listens
from tests.programs import broadcaster
from tests.server.clients import APP, SECONDS, call, client, plain, stalled
from tests.waits import until

CREDENTIALS = {"PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    line = process.stderr.readline()
    match = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
    assert match is not None, line + process.stderr.read()
    return int(match[1])


def heard_until(process: subprocess.Popen[str], word: str) -> str:
    """Return what *process* writes up to the line that has *word* in it; end it when that does not come."""
    assert process.stderr is not None
    written = ""
    too_late = threading.Timer(SECONDS, process.kill)
    too_late.start()
    while word not in written and (line := process.stderr.readline()):
        written += line
    too_late.cancel()
    return written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_then_leaves_in_order(number: signal.Signals) -> None:
    with (
        broadcaster("serve", "--port", "0", env=CREDENTIALS) as process,
        client(port := port_of(process)) as browser,
    ):
        assert plain(port, "GET", "/up").status == 200
        assert browser.is_alive()

        process.send_signal(number)

        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4100
        assert process.wait(SECONDS) == 0


COUNTING = """
import atexit, gc, sys
from broadcaster.__main__ import main
atexit.register(lambda: print("frozen:", gc.get_freeze_count(), file=sys.stderr))
main()
"""


def test_what_was_loaded_at_the_start_is_left_out_of_garbage_collection() -> None:
    command = [sys.executable, "-c", COUNTING, "serve", "--dev", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert port_of(process)

        process.send_signal(signal.SIGTERM)
        written = heard_until(process, "frozen:")

    assert int(written.rpartition("frozen:")[2]) > 10_000


def test_with_other_nodes_clients_are_sent_to_them(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path, password=None) as redis,
        broadcaster("serve", "--port", "0", "--redis", redis.url(), env=CREDENTIALS) as process,
        client(port_of(process)) as browser,
    ):
        process.send_signal(signal.SIGTERM)

        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4200
        assert process.wait(SECONDS) == 0


def test_it_may_be_told_to_close_everybody_at_once_all_the_same(tmp_path: Path) -> None:
    options = ("--redis", "redis://127.0.0.1:1", "--drain-seconds", "0")
    with (
        broadcaster("serve", "--port", "0", *options, env=CREDENTIALS) as process,
        client(port_of(process)) as browser,
    ):
        process.send_signal(signal.SIGTERM)

        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4100


def test_it_has_ended_within_the_grace_period_whoever_does_not_answer() -> None:
    options = ("--grace-seconds", "1", "--drain-seconds", "0.5")
    with (
        broadcaster("serve", "--port", "0", *options, env=CREDENTIALS) as process,
        stalled(port_of(process), "news"),
    ):
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(SECONDS) == 0
        # Sooner than without the option, on however busy a machine.
        assert time.monotonic() - start < 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    options = ("--grace-seconds", "60", "--drain-seconds", "50")
    with broadcaster("serve", "--port", "0", *options, env=CREDENTIALS) as process:
        port = port_of(process)
        with stalled(port, "news"):
            process.send_signal(number)
            until(lambda: not listens(port))
            process.send_signal(number)

            assert process.wait(SECONDS) == -number


def test_draining_may_not_take_longer_than_there_is() -> None:
    with broadcaster("serve", "--dev", "--grace-seconds", "5", "--drain-seconds", "5") as process:
        _, text = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert "less than --grace-seconds" in text


def test_the_address_line_names_the_application_but_not_its_secret() -> None:
    with broadcaster("serve", "--port", "0", env=CREDENTIALS) as process:
        assert process.stderr is not None
        line = process.stderr.readline()

    assert APP.key in line
    assert APP.secret not in line


def test_missing_credentials_are_named_in_one_line() -> None:
    with broadcaster("serve", "--port", "0", env={"PUSHER_APP_ID": "1"}) as process:
        _, text = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert text.startswith("broadcaster: missing PUSHER_APP_KEY, PUSHER_APP_SECRET")
    assert len(text.splitlines()) == 1


def test_the_development_application_is_for_this_machine_only() -> None:
    with broadcaster("serve", "--dev", "--host", "0.0.0.0") as process:
        _, text = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert "127.0.0.1 only" in text


def test_the_development_application_needs_no_credentials() -> None:
    with (
        broadcaster("serve", "--dev", "--port", "0") as process,
        client(port_of(process), key="app-key") as browser,
    ):
        assert browser.is_alive()


def test_a_port_in_use_is_one_line() -> None:
    with broadcaster("serve", "--dev", "--port", "0") as first:
        port = port_of(first)
        with broadcaster("serve", "--dev", "--port", str(port)) as second:
            _, text = second.communicate(timeout=SECONDS)

    assert second.returncode == 1
    assert text.startswith(f"broadcaster: cannot listen on 127.0.0.1:{port}: another program does")
    assert len(text.splitlines()) == 1


def test_with_verbose_a_refused_request_is_logged_with_its_reason() -> None:
    with broadcaster("serve", "--dev", "--port", "0", "--verbose") as process:
        assert call(port_of(process), "GET", "/apps/1/channels").status == 401
        assert process.stderr is not None
        line = process.stderr.readline()

    assert (
        "GET '/apps/1/channels' refused with 401: auth_key is missing, or not this application's key" in line
    )


def test_a_file_of_applications_is_read_again_on_sighup(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    table = f'[[apps]]\nid = "{APP.id}"\nkey = "{APP.key}"\nsecret = "{APP.secret}"\n'
    file.write_text(table)

    with (
        broadcaster("serve", "--port", "0", "--verbose", "--config", str(file)) as process,
        client(port := port_of(process)) as browser,
    ):
        file.write_text(table + table.replace(APP.key, "more").replace(f'"{APP.id}"', '"9"'))
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        line = process.stderr.readline()
        with client(port, key="more") as other:
            alive = browser.is_alive() and other.is_alive()

    assert f"applications reloaded: {APP.id}, 9" in line
    assert alive


def test_a_file_with_a_mistake_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[[apps]]\nid = 1\n")

    with broadcaster("serve", "--port", "0", "--config", str(file)) as process:
        _, text = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert text.startswith("broadcaster: ")
    assert "apps[0].id: Input should be a valid string" in text
    assert len(text.splitlines()) == 1


# Other nodes


def test_nodes_that_are_told_the_same_redis_hear_each_other(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password=None) as redis:
        hear_each_other(redis.url())


def test_nodes_of_one_cluster_hear_each_other(tmp_path: Path) -> None:
    with cluster(tmp_path) as shards:
        hear_each_other(shards.url)


def test_nodes_that_are_told_the_same_sentinels_hear_each_other(tmp_path: Path) -> None:
    with watched(tmp_path) as shop:
        hear_each_other(shop.url)


def hear_each_other(url: str) -> None:
    options = ("serve", "--dev", "--port", "0", "--redis", url)
    with broadcaster(*options) as one, broadcaster(*options) as other:
        ports = [port_of(one), port_of(other)]
        for port in ports:
            until(lambda port=port: plain(port, "GET", "/readyz").status == 200)  # type: ignore[misc]
        with client(ports[1], key="app-key") as browser:
            browser.subscribe("orders")
            event = {"name": "news", "channels": ["orders"], "data": "1"}
            keys = Credentials("app-key", "app-secret")
            assert call(ports[0], "POST", "/apps/1/events", event, credentials=keys).status == 200

            assert browser.receive()["data"] == "1"


def test_a_node_without_its_redis_serves_and_says_what_is_missing() -> None:
    with broadcaster("serve", "--dev", "--port", "0", "--redis", "redis://127.0.0.1:1") as process:
        port = port_of(process)
        assert process.stderr is not None
        assert "Redis is away" in process.stderr.readline()
        with client(port, key="app-key") as browser:
            assert browser.subscribe("orders")["event"] == "pusher_internal:subscription_succeeded"
        assert plain(port, "GET", "/readyz").status == 503
        assert plain(port, "GET", "/livez").status == 200


def test_an_address_that_is_no_redis_is_refused_without_its_password() -> None:
    with broadcaster("serve", "--dev", "--port", "0", "--redis", "http://:hush@example.com") as process:
        _, text = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert "no address of a Redis; write redis://" in text
    assert "hush" not in text


# What operators see


def second_port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    line = process.stderr.readline()
    match = re.search(r"metrics on http://127\.0\.0\.1:(\d+)/metrics", line)
    assert match is not None, line + process.stderr.read()
    return int(match[1])


def test_metrics_are_on_a_port_of_their_own() -> None:
    with broadcaster("serve", "--dev", "--port", "0", "--metrics-port", "0") as process:
        port, metrics = port_of(process), second_port(process)
        with client(port, key="app-key"):
            told = plain(metrics, "GET", "/metrics").body

        assert 'broadcaster_connections{app_id="1"} 1.0' in told
        assert plain(metrics, "GET", "/readyz").status == 200
        assert plain(port, "GET", "/metrics").status == 404


def test_a_port_of_metrics_that_is_taken_is_one_line() -> None:
    with broadcaster("serve", "--dev", "--port", "0") as first:
        options = ("--port", "0", "--metrics-port", str(port := port_of(first)))
        with broadcaster("serve", "--dev", *options) as second:
            _, text = second.communicate(timeout=SECONDS)

    assert second.returncode == 1
    assert text.startswith(f"broadcaster: cannot listen on 127.0.0.1:{port}: another program does")


def test_tracing_is_turned_on_by_a_variable_too() -> None:
    with broadcaster("serve", "--dev", "--port", "0", env={"BROADCAST_TRACING": "1"}) as process:
        assert call(port_of(process), "GET", "/apps/1/channels").status == 401


def test_as_json_every_line_is_an_object() -> None:
    with broadcaster("serve", "--dev", "--port", "0", "-v", "--log-format", "json") as process:
        port = port_of(process)
        assert call(port, "GET", "/apps/1/channels").status == 401
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=SECONDS)

    refused, stopped = (json.loads(line) for line in text.splitlines())
    assert (refused["level"], refused["logger"]) == ("info", "broadcaster.server")
    assert (refused["status"], refused["route"]) == (401, "/apps/{app_id}/channels")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", refused["time"])
    assert (stopped["logger"], stopped["message"]) == ("broadcaster.cli", "stopped")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_in_the_log_whatever_goes_wrong(tmp_path: Path, log_format: str) -> None:
    wrong = "wr0ng pass/word"
    with RedisServer(tmp_path) as redis:
        url = f"redis://:{quote(wrong, safe='')}@127.0.0.1:{redis.port}"
        options = ("serve", "--port", "0", "-v", "--log-format", log_format, "--redis", url)
        with broadcaster(*options, env=CREDENTIALS) as process:
            port = port_of(process)
            with client(port) as browser:
                for auth in (f"{APP.key}:{'0123abcd' * 8}", f"{APP.key}:{APP.secret}"):
                    browser.send("pusher:subscribe", data={"channel": "private-a", "auth": auth})
                    assert browser.receive()["event"] == "pusher:subscription_error"
            forged = f"?auth_key={APP.key}&auth_signature={'0123abcd' * 8}&auth_version=1.0&auth_timestamp=1"
            assert plain(port, "GET", f"/apps/3/channels{forged}").status == 401
            assert plain(port, "GET", f"/{APP.secret}?x={wrong[:5]}").status == 404
            assert call(port, "GET", "/apps/3/channels", credentials=Credentials(APP.key, "x")).status == 401
            text = heard_until(process, "Redis is away")
            process.send_signal(signal.SIGTERM)
            text += heard_until(process, "stopped")

    assert "Redis is away" in text
    assert "refused with 401" in text
    for secret in (APP.secret, wrong, quote(wrong, safe=""), "0123abcd"):
        assert secret not in text
