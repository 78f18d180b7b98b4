import asyncio
import json
import socket

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from broadcaster.messages import Message
from broadcaster.server import Bounds, Server, ServerThread
from tests.server.clients import APP, SECONDS, UPGRADE, client, flood_until_one_is_left, is_cut, raw, read_all
from tests.waits import auntil, until


def test_a_reader_that_stops_reading_is_cut_off_and_the_others_get_everything(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    flood_until_one_is_left(server, server.port)

    assert "cut off: it reads too slowly" in caplog.text


async def test_a_peer_that_says_it_is_done_is_forgotten_even_if_it_reads_nothing_more() -> None:
    subscribe = b'{"event":"pusher:subscribe","data":{"channel":"feed"}}'
    async with Server([APP], port=0) as server, asyncio.timeout(SECONDS):
        with raw(server.port) as peer:
            peer.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)
            peer.sendall(Frame(Opcode.TEXT, subscribe).serialize(mask=True))
            await auntil(lambda: server.connection_count == 1)
            (transport,) = server._transports._open
            while transport.get_write_buffer_size() < 65_536:
                server.publish(Message("tick", ("feed",), "x" * 9_000))
                await asyncio.sleep(0)

            peer.shutdown(socket.SHUT_WR)
            await auntil(lambda: server.connection_count == 0)

        assert next(iter(server._node.hubs.values())).tally.slow_readers == 0


def test_a_peer_that_talks_on_after_the_close_frame_wins_no_time() -> None:
    ping = Frame(Opcode.PING, b"").serialize(mask=True)
    with (
        ServerThread([APP], port=0, bounds=Bounds(close_seconds=0.5)) as server,
        raw(server.port) as connection,
    ):
        connection.sendall(b"GET /app/nobody?protocol=7 HTTP/1.1\r\n" + UPGRADE)

        until(lambda: is_cut(connection, ping))


def test_what_a_client_says_right_before_it_closes_is_heard(server: ServerThread) -> None:
    with client(server.port) as listener, client(server.port) as hasty:
        listener.subscribe("private-chat")
        hasty.subscribe("private-chat")
        last_words = json.dumps({"event": "client-bye", "channel": "private-chat", "data": {}})

        frames = [Frame(Opcode.TEXT, last_words.encode()), Frame(Opcode.CLOSE, b"\x03\xe8")]
        hasty.socket.socket.sendall(b"".join(frame.serialize(mask=True) for frame in frames))

        assert listener.receive()["event"] == "client-bye"


def test_a_message_in_fragments_is_put_together(server: ServerThread) -> None:
    with client(server.port) as browser:
        browser.socket.send(['{"event":', '"pusher:ping"', ',"data":{}}'])

        assert browser.receive()["event"] == "pusher:pong"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.BINARY, b"{}"), 1003),
        (Frame(Opcode.TEXT, b"\xff"), 1007),
        (Frame(Opcode.TEXT, b"x" * 70_000), 1009),
        (Frame(Opcode.CONT, b"{}"), 1002),
    ],
    ids=["binary", "not UTF-8", "too large", "out of turn"],
)
def test_a_frame_that_breaks_the_rules_closes_with_the_code_that_says_so(
    server: ServerThread, frame: Frame, code: int
) -> None:
    with client(server.port) as browser:
        browser.socket.socket.sendall(frame.serialize(mask=True))

        with pytest.raises(ConnectionClosed) as closed:
            browser.receive()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_the_bytes_of_a_frame_may_come_one_by_one_and_with_the_handshake(server: ServerThread) -> None:
    ping = Frame(Opcode.TEXT, b'{"event":"pusher:ping"}').serialize(mask=True)
    request = b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE
    with raw(server.port) as connection:
        for byte in (request + ping)[:-3]:
            connection.sendall(bytes([byte]))
        connection.sendall(ping[-3:])
        connection.sendall(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))

        received = read_all(connection)

    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.index(b"connection_established") < received.index(b"pusher:pong")
