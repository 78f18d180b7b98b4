import socket
import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from broadcaster.protocol.limits import Limits
from broadcaster.server import Proxies, ServerThread
from broadcaster.server.proxy_protocol import read_header
from tests.server.clients import APP, SECONDS, Client, read_all

V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"


def v2(source: str, *, command: int = 1, more: bytes = b"") -> bytes:
    address = ip_address(source)
    family, target = (0x11, b"\xc0\x00\x02\x01") if address.version == 4 else (0x21, bytes(16))
    body = address.packed + target + struct.pack("!HH", 4711, 443) + more
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


HEADERS = [
    (V1, "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (v2("203.0.113.7"), "203.0.113.7"),
    (v2("2001:db8::7"), "2001:db8::7"),
    (v2("203.0.113.7", more=b"\x03\x00\x04abcd"), "203.0.113.7"),
    (v2("203.0.113.7", command=0), None),
    (b"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x02ab", None),
]


@pytest.mark.parametrize(("header", "address"), HEADERS)
def test_a_header_tells_the_address_of_the_client(header: bytes, address: str | None) -> None:
    assert read_header(header) == (address, len(header))
    assert read_header(header + b"GET / HTTP/1.1\r\n") == (address, len(header))


@pytest.mark.parametrize(("header", "address"), HEADERS)
def test_a_header_may_come_in_any_pieces(header: bytes, address: str | None) -> None:
    assert [read_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 203.0.113.7\r\n",
        b"PROXY TCP4 not.an.address 192.0.2.1 1 2\r\n",
        b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY " + b"x" * 200,
        b"\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x0c" + bytes(12),
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x02ab",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller hangs up, whatever it says
        read_header(data)


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda more: HEADERS[4][0][:14] + more)))
def test_nothing_else_is_raised(data: bytes) -> None:
    try:
        header = read_header(data)
    except ValueError:
        return
    assert header is None or header[1] <= len(data)


# On the server


def test_connections_are_counted_by_the_address_that_the_proxy_tells() -> None:
    app = replace(APP, limits=Limits(connections_per_address=1))
    codes = []
    with ServerThread([app], port=0, proxies=Proxies(protocol=True)) as server:
        port = server.port
        first, second = dial(port, V1), dial(port, V1)
        other = dial(port, V1.replace(b"113.7", b"113.8"))
        url = f"ws://127.0.0.1:{port}/app/{APP.key}?protocol=7"
        with connect(url, sock=first) as one, connect(url, sock=other) as another:
            assert Client(one).is_alive()
            assert Client(another).is_alive()
            with connect(url, sock=second) as refused:
                codes.append(str(refused.recv(timeout=SECONDS)))

    assert '"code":4100' in codes[0]


def test_who_tells_no_header_is_hung_up_on() -> None:
    with (
        ServerThread([APP], port=0, proxies=Proxies(protocol=True)) as server,
        dial(server.port, b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n") as plain,
    ):
        assert read_all(plain) == b""


def dial(port: int, first: bytes) -> socket.socket:
    dialled = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    dialled.sendall(first)
    return dialled
