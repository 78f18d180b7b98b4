from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPConnection

import pytest
from websockets.sync.client import connect

from broadcaster import ConfigurationError
from broadcaster.demo._running import running


def test_the_page_is_told_where_the_server_listens() -> None:
    with running() as demo, closing(HTTPConnection("127.0.0.1", demo.app_port, timeout=5)) as http:
        http.request("GET", "/config")
        config = json.loads(http.getresponse().read())
        plain = socket.create_connection(("127.0.0.1", config["port"]), timeout=5)
        with connect(f"{demo.websocket_url}&version=1.0.0", sock=plain) as websocket:
            frame = json.loads(websocket.recv(timeout=5))

    assert config == {"key": demo.key, "port": demo.port}
    assert frame["event"] == "pusher:connection_established"


def test_nothing_listens_any_more_when_the_block_has_ended() -> None:
    with running() as demo:
        pass

    for port in (demo.port, demo.app_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("which", ["port", "app_port"])
def test_a_port_that_is_taken_is_named(which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=str(port)), running(**{which: port}):
            pass
