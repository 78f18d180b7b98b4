from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest

from broadcaster import BroadcastManager, ConfigurationError
from broadcaster.demo._http import serving
from broadcaster.demo.app import Application
from broadcaster.signing import Credentials


def application() -> Application:
    return Application(BroadcastManager(), Credentials("key", "secret"), port=6001)


@pytest.fixture
def port() -> Iterator[int]:
    with serving(application(), port=0) as port:
        yield port


@pytest.fixture
def http(port: int) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as http:
        yield http


def test_one_connection_carries_many_requests(http: HTTPConnection) -> None:
    statuses = []
    for path in ("/", "/page.js?again", "/nothing", "/config"):
        http.request("GET", path)
        with http.getresponse() as response:
            response.read()
            statuses.append(response.status)

    assert statuses == [200, 200, 404, 200]


def test_a_post_carries_its_body_and_headers(http: HTTPConnection) -> None:
    headers = {"X-User-Id": "otter", "X-User-Name": "Otter"}

    http.request("POST", "/broadcasting/auth", b"socket_id=1.2&channel_name=private-demo", headers)

    assert json.loads(http.getresponse().read()) == {
        "auth": Credentials("key", "secret").channel_auth("1.2", "private-demo")
    }


def test_the_page_may_talk_to_the_demo_and_to_nobody_else(http: HTTPConnection) -> None:
    http.request("GET", "/")

    response = http.getresponse()

    assert (
        "connect-src 'self' ws://127.0.0.1:6001 ws://localhost:6001;"
        in response.headers["Content-Security-Policy"]
    )
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["demo.example", "demo.example:80", "", "127.0.0.1.example", "[::1"])
def test_another_host_name_is_refused(http: HTTPConnection, host: str) -> None:
    http.request("GET", "/", headers={"Host": host})

    assert http.getresponse().status == 403


def test_localhost_is_a_name_of_this_machine(http: HTTPConnection, port: int) -> None:
    http.request("GET", "/", headers={"Host": f"localhost:{port}"})

    assert http.getresponse().status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": str(16 * 1024 + 1)}, 413),
        ({"Content-Length": "9" * 5_000}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "\u00b2"}, 411),
        ({"Content-Length": "4", "Transfer-Encoding": "chunked"}, 411),
        ({}, 411),
    ],
)
def test_a_body_of_unknown_or_too_great_length_ends_the_connection(
    http: HTTPConnection, headers: dict[str, str], status: int
) -> None:
    http.putrequest("POST", "/say")
    for name, value in headers.items():
        http.putheader(name, value.encode("latin-1"))
    http.endheaders()

    response = http.getresponse()

    assert response.status == status
    assert response.headers["Connection"] == "close"


def test_other_methods_are_not_implemented(http: HTTPConnection) -> None:
    http.request("DELETE", "/")

    assert http.getresponse().status == 501


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"port {port}: "), serving(application(), port=port):
            pass


def test_a_browser_that_goes_away_is_not_worth_a_log_line(
    port: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(b"POST /say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as http:
        http.request("GET", "/config")
        assert http.getresponse().status == 200

    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
