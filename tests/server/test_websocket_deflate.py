"""Compression: agreed on in the handshake, done once for all subscribers of a message."""

from __future__ import annotations

import json
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from broadcaster import AnonymousEvent, BroadcastManager, Settings
from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Push
from broadcaster.protocol.hub import Hub
from broadcaster.server import ServerThread
from broadcaster.server.codec import deflate_frame
from broadcaster.server.node import Node
from tests.server.clients import APP, SECONDS, UPGRADE, Client, raw

from .test_node import Recording

LARGE = "broadcast " * 500


def url(server: ServerThread) -> str:
    return f"ws://127.0.0.1:{server.port}/app/{APP.key}?protocol=7"


def offered(server: ServerThread, offer: str) -> str | None:
    """Return what the server agrees to when a client offers this."""
    upgrade = UPGRADE.replace(b"\r\n\r\n", f"\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n".encode())
    with raw(server.port) as connection:
        connection.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + upgrade)
        head = connection.recv(65_536).split(b"\r\n\r\n")[0].decode()
    found = [line for line in head.splitlines() if line.lower().startswith("sec-websocket-extensions:")]
    return found[0].partition(": ")[2] if found else None


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-bzip2", False),
        ("permessage-deflate; nonsense", False),
    ],
)
def test_compression_is_agreed_on_only_where_nothing_is_kept_between_messages(
    server: ServerThread, offer: str, agreed: bool
) -> None:
    answer = offered(server, offer)

    assert (answer is not None) == agreed
    if answer is not None:
        assert {"server_no_context_takeover", "client_no_context_takeover"} <= set(answer.split("; "))


def test_a_large_message_reaches_those_who_compress_and_those_who_do_not(server: ServerThread) -> None:
    broadcast = BroadcastManager(Settings(default="local"), server=server)
    with connect(url(server)) as one, connect(url(server), compression=None) as other:
        clients = [Client(one), Client(other)]
        for client in clients:
            client.subscribe("feed")

        for text in ("small", LARGE, LARGE + "ü☃𝄞"):
            broadcast.send(AnonymousEvent("said", on="feed", data={"text": text}))
            heard = [json.loads(client.receive()["data"])["text"] for client in clients]
            assert heard == [text, text]


def test_what_clients_send_may_be_compressed(server: ServerThread) -> None:
    extensions = [ClientPerMessageDeflateFactory(compress_settings={"level": 9})]
    with (
        connect(url(server), compression=None, extensions=extensions) as one,
        connect(url(server)) as another,
    ):
        sender, hearer = Client(one), Client(another)
        for client in (sender, hearer):
            client.subscribe("private-a")

        for text in ("small", LARGE):
            sender.send("client-typing", channel="private-a", data={"text": text})
            assert json.loads(hearer.receive()["data"]) == {"text": text}


def test_a_message_that_swells_beyond_its_limit_closes_with_1009(server: ServerThread) -> None:
    squeeze = zlib.compressobj(9, wbits=-15)
    bomb = (squeeze.compress(b"0" * 50_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    header = bytes([0b1100_0001, 0x80 | 126]) + len(bomb).to_bytes(2, "big") + bytes(4)
    offer = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    assert len(bomb) < 60_000, "the limit is to be crossed by what is inside"

    with raw(server.port) as connection:
        upgrade = UPGRADE.replace(b"\r\n\r\n", offer)
        connection.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + upgrade)
        connection.recv(65_536)
        connection.sendall(header + bomb)
        received = b""
        while (1009).to_bytes(2, "big") not in received:
            chunk = connection.recv(65_536)
            assert chunk, received
            received += chunk


def test_a_compressed_frame_when_nothing_was_agreed_is_a_broken_rule(server: ServerThread) -> None:
    with raw(server.port) as connection:
        connection.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)
        connection.recv(65_536)
        connection.sendall(bytes([0b1100_0001, 0x80]) + bytes(4))
        connection.settimeout(SECONDS)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk

    assert (1002).to_bytes(2, "big") in received


def test_a_message_is_compressed_once_however_many_connections_get_it() -> None:
    deflated: list[str] = []

    def deflate(text: str) -> str:
        deflated.append(text)
        return "deflated"

    node = Node([APP], encode=str, deflate=deflate)
    wires = [Recording(deflated=number % 2 == 0) for number in range(100)]
    connections = tuple(Connection(f"{number}.1", wire) for number, wire in enumerate(wires))

    node.perform(Hub(APP), [Push(LARGE, connections), Push("small", connections, connections[0])])

    assert deflated == [LARGE]
    assert [wire.said for wire in wires[:3]] == [["deflated"], [LARGE, "small"], ["deflated", "small"]]


def test_a_frame_is_what_the_agreement_says() -> None:
    frame = deflate_frame(LARGE)

    assert frame[0] == 0b1100_0001
    assert len(frame) < len(LARGE) / 20
    inflated = zlib.decompressobj(-15).decompress(frame[2:] + b"\x00\x00\xff\xff")
    assert Frame(Opcode.TEXT, inflated).data == LARGE.encode()
