import zlib

import pytest
from websockets.frames import Close, Frame, Opcode

from broadcaster.server.codec import CLOSE, PING, close_frame, control_frame, deflate_frame, encode_frame


def test_a_frame_is_the_same_bytes_for_every_connection() -> None:
    assert encode_frame("{}") == b"\x81\x02{}"
    assert encode_frame("x" * 200)[:4] == b"\x81\x7e\x00\xc8"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_text_of_any_size_has_the_head_that_it_should(size: int) -> None:
    text = "x" * size

    assert encode_frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def test_what_is_told_is_the_size_in_bytes() -> None:
    text = "ü☃𝄞" * 20

    assert encode_frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@pytest.mark.parametrize("text", ["", "small", "broadcast " * 500, "ü☃𝄞" * 9_000])
def test_a_compressed_frame_inflates_to_its_text(text: str) -> None:
    frame = deflate_frame(text)
    start = {126: 4, 127: 10}.get(frame[1], 2)

    assert frame[0] == 0b1100_0001
    assert zlib.decompressobj(-15).decompress(frame[start:] + b"\x00\x00\xff\xff").decode() == text


def test_a_ping_holds_its_payload() -> None:
    assert control_frame(PING, b"now") == Frame(Opcode.PING, b"now").serialize(mask=False)


@pytest.mark.parametrize("reason", ["", "bye", "x" * 123])
def test_a_close_frame_tells_code_and_reason(reason: str) -> None:
    payload = Close(4100, reason).serialize()

    assert close_frame(4100, reason) == Frame(Opcode.CLOSE, payload).serialize(mask=False)


@pytest.mark.parametrize("reason", ["x" * 200, "ü" * 100, "x" + "☃" * 60])
def test_a_reason_that_is_too_long_is_cut_between_two_characters(reason: str) -> None:
    frame = close_frame(4100, reason)

    assert frame[0] == 0x80 | CLOSE
    assert 2 + frame[1] == len(frame)
    assert 123 - 3 < len(frame) - 4 <= 123
    assert reason.startswith(frame[4:].decode())
