"""RFC 6455 over raw sockets, by the categories of the Autobahn test-suite, whose numbers are in the ids."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from itertools import cycle

import pytest

from broadcaster.server import ServerThread
from tests.server.clients import APP, SECONDS, UPGRADE, raw

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY = b"\x37\xfa\x21\x3d"
LIMIT = APP.limits.frame_size


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return one frame as a client sends it, whatever the rules say about it."""
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        length = bytes([mask | size])
    elif size < 65_536:
        length = bytes([mask | 126]) + struct.pack("!H", size)
    else:
        length = bytes([mask | 127]) + struct.pack("!Q", size)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + length
    if not masked:
        return head + payload
    return head + KEY + bytes(byte ^ key for byte, key in zip(payload, cycle(KEY), strict=False))


def sized(size: int) -> bytes:
    """Return a ping of the protocol that has so many bytes."""
    head, tail = b'{"event":"pusher:ping","data":"', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def holding(text: bytes) -> bytes:
    """Return a ping of the protocol that holds *text* in its data."""
    return b'{"event":"pusher:ping","data":"' + text + b'"}'


ALIVE = frame(TEXT, b'{"event":"pusher:ping"}')


class Raw:
    """One connection, its first frame read."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._data = b""
        connection.sendall(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)
        while b"\r\n\r\n" not in self._data:
            self._data += connection.recv(65_536)
        self._data = self._data.partition(b"\r\n\r\n")[2]
        assert b"connection_established" in self.receive()[1]

    def send(self, data: bytes, *, chunk: int | None = None) -> None:
        """Send *data*, in pieces of *chunk* bytes; a server that has hung up need not hear all."""
        pieces = [data] if chunk is None else [data[at : at + chunk] for at in range(0, len(data), chunk)]
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except ConnectionError:
            pass

    def receive(self) -> tuple[int, bytes]:
        """Return the opcode and the payload of the next frame; an end without one is an EOFError."""
        head = self._read(2)
        assert not head[1] & 0x80, "a server masks nothing"
        assert head[0] & 0xF0 == 0x80, "the server neither fragments nor sets a reserved bit here"
        size = head[1]
        if size == 126:
            (size,) = struct.unpack("!H", self._read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._read(8))
        return head[0] & 0xF, self._read(size)

    def close_code(self) -> int | None:
        """Return the code of the close frame, what comes before it passed over; None where it has none."""
        while True:
            opcode, payload = self.receive()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0] if payload else None

    def is_at_its_end(self) -> bool:
        """Whether the server sends nothing more, and ends the connection."""
        try:
            return self._data == b"" and self._socket.recv(1) == b""
        except ConnectionError:
            return True

    def answers(self) -> list[tuple[int, bytes]]:
        """Return what came before the answer to a ping of the protocol that is sent now."""
        self.send(ALIVE)
        found = []
        while b"pusher:pong" not in (received := self.receive())[1]:
            found.append(received)
        return found

    def _read(self, size: int) -> bytes:
        while len(self._data) < size:
            chunk = self._socket.recv(65_536)
            if not chunk:
                raise EOFError("the server ended the connection")
            self._data += chunk
        found, self._data = self._data[:size], self._data[size:]
        return found


@pytest.fixture
def peer(server: ServerThread) -> Iterator[Raw]:
    with raw(server.port) as connection:
        connection.settimeout(SECONDS)
        yield Raw(connection)


def violated(peer: Raw, data: bytes) -> int | None:
    """Send *data*; return the code that the connection is closed with, and see it end."""
    peer.send(data)
    code = peer.close_code()
    peer.send(frame(CLOSE, struct.pack("!H", 1000)))
    assert peer.is_at_its_end()
    return code


# 1: framing


@pytest.mark.parametrize("chunk", [None, 997], ids=["whole", "in chunks"])
@pytest.mark.parametrize(
    "size",
    [pytest.param(size, id=f"1.1.{size}") for size in (34, 125, 126, 127, 128, 65_535, 65_536)],
)
def test_text_of_any_size_up_to_the_limit_is_taken(peer: Raw, size: int, chunk: int | None) -> None:
    peer.send(frame(TEXT, sized(size)), chunk=chunk)

    assert b"pusher:pong" in peer.receive()[1]
    assert peer.answers() == []


def test_text_of_no_size_is_a_message_too(peer: Raw) -> None:
    peer.send(frame(TEXT))

    assert b'"code":4200' in peer.receive()[1]
    assert peer.answers() == []


def test_binary_is_not_understood(peer: Raw) -> None:
    assert violated(peer, frame(BINARY, b"{}")) == 1003


def test_a_frame_that_is_not_masked_is_a_broken_rule(peer: Raw) -> None:
    assert violated(peer, frame(TEXT, sized(40), masked=False)) == 1002


# 2: pings and pongs


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="2.1"),
        pytest.param(b"Hello", id="2.2"),
        pytest.param(b"\x00\xff\xfe\xfd", id="2.3"),
        pytest.param(b"\xfe" * 125, id="2.4"),
    ],
)
@pytest.mark.parametrize("chunk", [None, 1], ids=["whole", "byte by byte"])
def test_a_ping_is_answered_with_what_it_holds(peer: Raw, payload: bytes, chunk: int | None) -> None:
    peer.send(frame(PING, payload), chunk=chunk)

    assert peer.receive() == (PONG, payload)
    assert peer.answers() == []


def test_a_ping_that_is_too_long_is_a_broken_rule(peer: Raw) -> None:
    assert violated(peer, frame(PING, b"x" * 126)) == 1002


@pytest.mark.parametrize("payload", [b"", b"unsolicited"], ids=["2.7", "2.8"])
def test_a_pong_that_nobody_asked_for_is_passed_over(peer: Raw, payload: bytes) -> None:
    peer.send(frame(PONG, payload) + frame(PING, b"now"))

    assert peer.receive() == (PONG, b"now")


def test_many_pings_are_answered_in_order(peer: Raw) -> None:
    peer.send(b"".join(frame(PING, b"%d" % number) for number in range(50)))

    assert [peer.receive() for _ in range(50)] == [(PONG, b"%d" % number) for number in range(50)]


# 3 and 4: reserved bits and opcodes


@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE], ids=["text", "ping", "close"])
@pytest.mark.parametrize("rsv", range(1, 8))
def test_a_reserved_bit_is_a_broken_rule(peer: Raw, opcode: int, rsv: int) -> None:
    assert violated(peer, frame(opcode, b"\x03\xe8", rsv=rsv)) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"payload"], ids=["empty", "full"])
def test_a_reserved_opcode_is_a_broken_rule(peer: Raw, opcode: int, payload: bytes) -> None:
    assert violated(peer, frame(opcode, payload)) == 1002


# 5: fragments


def fragments(payload: bytes, size: int, *, between: bytes = b"") -> bytes:
    """Return a message in fragments of *size* bytes, with whole frames *between* them."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(parts) - 1
    return between.join(
        frame(CONT if index else TEXT, part, fin=index == last) for index, part in enumerate(parts)
    )


@pytest.mark.parametrize("size", [1, 7, 20, 1_000], ids=lambda size: f"5.3-{size}")
@pytest.mark.parametrize("chunk", [None, 3], ids=["whole", "in chunks"])
def test_a_message_may_come_in_fragments(peer: Raw, size: int, chunk: int | None) -> None:
    peer.send(fragments(sized(60), size), chunk=chunk)

    assert b"pusher:pong" in peer.receive()[1]
    assert peer.answers() == []


def test_control_frames_may_come_between_fragments(peer: Raw) -> None:
    peer.send(fragments(sized(40), 10, between=frame(PING, b"in between")))

    assert [peer.receive() for _ in range(3)] == [(PONG, b"in between")] * 3
    assert b"pusher:pong" in peer.receive()[1]


def test_empty_fragments_are_fragments(peer: Raw) -> None:
    peer.send(frame(TEXT, fin=False) + frame(CONT, sized(40), fin=False) + frame(CONT))

    assert b"pusher:pong" in peer.receive()[1]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(PING, b"x", fin=False) + frame(CONT, b"y"), id="5.1"),
        pytest.param(frame(PONG, b"x", fin=False) + frame(CONT, b"y"), id="5.2"),
        pytest.param(frame(CONT, sized(40)), id="5.9"),
        pytest.param(frame(CONT, sized(40), fin=False), id="5.10"),
        pytest.param(frame(TEXT, sized(40)) + frame(CONT, b"more"), id="5.12"),
        pytest.param(frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), id="5.18"),
        pytest.param(frame(TEXT, b"{", fin=False) + frame(BINARY, b"}"), id="5.18-binary"),
    ],
)
def test_fragments_that_do_not_belong_together_are_a_broken_rule(peer: Raw, data: bytes) -> None:
    assert violated(peer, data) == 1002


# 6: UTF-8


VALID = {
    "6.2": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "6.5": "κόσμε".encode(),
    "6.6-2": b"\xc2\x80",
    "6.6-3": b"\xe0\xa0\x80",
    "6.6-4": b"\xf0\x90\x80\x80",
    "6.7-2": b"\xdf\xbf",
    "6.7-3": b"\xef\xbf\xbf",
    "6.7-4": b"\xf4\x8f\xbf\xbf",
    "6.9-1": b"\xed\x9f\xbf",
    "6.9-2": b"\xee\x80\x80",
    "6.9-3": b"\xef\xbf\xbd",
    "6.22": b"\xef\xbf\xbe\xf0\x9f\xbf\xbf",
}
INVALID = {
    "6.3": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    "6.8-5": b"\xf8\x88\x80\x80\x80",
    "6.8-6": b"\xfc\x84\x80\x80\x80\x80",
    "6.10": b"\xf4\x90\x80\x80",
    "6.11": b"\xfe",
    "6.12-1": b"\x80",
    "6.12-2": b"\xbf",
    "6.12-many": b"\x80\xbf\x80\xbf",
    "6.13": b"\xc0\x20\xc1\x20",
    "6.14-2": b"\xc0",
    "6.14-3": b"\xe0\x80",
    "6.14-4": b"\xf0\x80\x80",
    "6.16": b"\xff",
    "6.18-2": b"\xc0\xaf",
    "6.18-3": b"\xe0\x80\xaf",
    "6.18-4": b"\xf0\x80\x80\xaf",
    "6.19": b"\xc1\xbf",
    "6.20": b"\xc0\x80",
    "6.21-high": b"\xed\xa0\x80",
    "6.21-low": b"\xed\xbf\xbf",
    "6.21-pair": b"\xed\xa0\x80\xed\xb0\x80",
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
@pytest.mark.parametrize("size", [10_000, 1], ids=["whole", "in fragments of a byte"])
def test_text_that_is_utf_8_is_taken(peer: Raw, text: bytes, size: int) -> None:
    peer.send(fragments(holding(text), size))

    assert b"pusher:pong" in peer.receive()[1]


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("size", [10_000, 1], ids=["whole", "in fragments of a byte"])
def test_text_that_is_no_utf_8_closes_with_1007(peer: Raw, text: bytes, size: int) -> None:
    assert violated(peer, fragments(holding(text), size)) == 1007


# 7: the closing handshake


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
def test_a_close_is_answered_with_its_own_code(peer: Raw, code: int) -> None:
    peer.send(frame(CLOSE, struct.pack("!H", code) + b"bye"))

    assert peer.close_code() == code
    assert peer.is_at_its_end()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_a_close_with_a_code_that_nobody_may_send_is_a_broken_rule(peer: Raw, code: int) -> None:
    assert violated(peer, frame(CLOSE, struct.pack("!H", code))) == 1002


def test_a_close_may_have_no_code(peer: Raw) -> None:
    peer.send(frame(CLOSE))

    assert peer.close_code() is None
    assert peer.is_at_its_end()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        pytest.param(b"\x03", 1002, id="7.3.2"),
        pytest.param(struct.pack("!H", 1000) + b"x" * 124, 1002, id="7.3.6"),
        pytest.param(struct.pack("!H", 1000) + b"\xce\xba\xed\xa0\x80", 1007, id="7.5.1"),
    ],
)
def test_a_close_that_is_malformed_says_so(peer: Raw, payload: bytes, code: int) -> None:
    assert violated(peer, frame(CLOSE, payload)) == code


def test_a_close_may_have_a_reason_of_123_bytes(peer: Raw) -> None:
    peer.send(frame(CLOSE, struct.pack("!H", 1000) + b"x" * 123))

    assert peer.close_code() == 1000


@pytest.mark.parametrize(
    "after", [frame(PING, b"x"), ALIVE, frame(CLOSE, b"\x03\xe8")], ids=["7.1.2", "7.1.3", "7.1.4"]
)
def test_what_comes_after_a_close_is_passed_over(peer: Raw, after: bytes) -> None:
    peer.send(frame(CLOSE, struct.pack("!H", 1000)) + after)

    assert peer.receive() == (CLOSE, struct.pack("!H", 1000))
    assert peer.is_at_its_end()


def test_a_close_in_the_middle_of_a_message_ends_it(peer: Raw) -> None:
    peer.send(frame(TEXT, b"{", fin=False) + frame(CLOSE, struct.pack("!H", 1000)))

    assert peer.close_code() == 1000
    assert peer.is_at_its_end()


# 9 and 10: limits


@pytest.mark.parametrize("size", [64, 256, 1_024, 4_096, 16_384], ids=lambda size: f"9.3-{size}")
def test_a_message_of_the_limit_may_come_in_fragments_of_any_size(peer: Raw, size: int) -> None:
    peer.send(fragments(sized(LIMIT), size))

    assert b"pusher:pong" in peer.receive()[1]
    assert peer.answers() == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, sized(LIMIT + 1)), id="in one frame"),
        pytest.param(fragments(sized(LIMIT + 1), LIMIT), id="by its last byte"),
        pytest.param(fragments(sized(LIMIT + 1), 1_000), id="in fragments"),
        pytest.param(frame(TEXT, b"")[:1] + b"\xff" + struct.pack("!Q", 2**62), id="by what it announces"),
    ],
)
def test_a_byte_more_than_the_limit_closes_with_1009(peer: Raw, data: bytes) -> None:
    assert violated(peer, data) == 1009
