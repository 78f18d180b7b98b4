import socket

import pytest

from broadcaster import ConfigurationError
from broadcaster.server import Admin, ServerThread
from tests.ports import free_port
from tests.server.clients import APP, SECONDS, UPGRADE, call, plain, raw, read_all


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/up", "/metrics"])
def test_it_says_how_the_server_is(path: str) -> None:
    with ServerThread([APP], port=0, admin=(admin := Admin(port=0))):
        assert plain(admin.port, "GET", path).status == 200
        assert plain(admin.port, "HEAD", path).body == ""
        assert plain(admin.port, "POST", path).status == 405


@pytest.mark.parametrize("path", ["/", "/client.js", "/app/278d425bdf160c739803", "/metrics/", "//metrics"])
def test_it_serves_nothing_else(path: str) -> None:
    with ServerThread([APP], port=0, admin=(admin := Admin(port=0))):
        assert plain(admin.port, "GET", path).status == 404


def test_the_http_api_is_not_there() -> None:
    event = {"name": "a", "channels": ["orders"], "data": "1"}
    with ServerThread([APP], port=0, admin=(admin := Admin(port=0))):
        assert call(admin.port, "POST", "/apps/3/events", event).status == 404


def test_no_websocket_opens_there() -> None:
    with ServerThread([APP], port=0, admin=(admin := Admin(port=0))), raw(admin.port) as connection:
        connection.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)

        assert read_all(connection).startswith(b"HTTP/1.1 404 ")


def test_the_servers_own_port_has_no_metrics() -> None:
    with ServerThread([APP], port=0, admin=Admin(port=0)) as server:
        assert plain(server.port, "GET", "/metrics").status == 404


def test_it_is_there_as_long_as_the_server_and_no_longer() -> None:
    with ServerThread([APP], port=0, admin=(admin := Admin(port=0))), raw(admin.port) as connection:
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65_536)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", admin.port), timeout=SECONDS)


def test_a_port_in_use_is_told_and_the_server_does_not_start() -> None:
    port = free_port()
    with ServerThread([APP], port=0) as first, pytest.raises(ConfigurationError) as refused:
        ServerThread([APP], port=port, admin=Admin(port=first.port)).start()

    assert f"cannot listen on 127.0.0.1:{first.port}: another program does" in str(refused.value)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def test_a_server_that_cannot_start_leaves_its_admin_port() -> None:
    port = free_port()
    with ServerThread([APP], port=0) as first, pytest.raises(ConfigurationError):
        ServerThread([APP], port=first.port, admin=Admin(port=port)).start()

    with ServerThread([APP], port=port):
        pass
