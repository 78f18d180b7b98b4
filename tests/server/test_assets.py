from __future__ import annotations

from http.client import HTTPConnection

import pytest

from broadcaster.server import ServerThread
from tests.server.clients import SECONDS


def ask(port: int, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_module_for_browsers_may_be_loaded_by_any_page(server: ServerThread, method: str) -> None:
    status, headers, body = ask(server.port, method, "/client.js")

    assert status == 200
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert (b"export class Echo" in body) == (method == "GET")
    assert int(headers["Content-Length"]) > 5_000


def test_the_module_can_only_be_read(server: ServerThread) -> None:
    status, headers, _ = ask(server.port, "POST", "/client.js")

    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_there_is_no_other_file(server: ServerThread) -> None:
    assert ask(server.port, "GET", "/client.py")[0] == 404
    assert ask(server.port, "GET", "/../client.js")[0] == 404
