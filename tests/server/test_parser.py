"""The parser of frames, beside the library `websockets` as the judge; see also test_websocket_rules.py."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from broadcaster.server.parser import Alive, Closed, Event, Fault, Parser, Pinged
from tests.server.test_websocket_rules import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame

MOST = 65_536
SILENT = logging.getLogger("tests.server.silent")
SILENT.setLevel(logging.CRITICAL)


def fed(pieces: Sequence[bytes], *, deflated: bool = False, most: int = MOST) -> list[Event]:
    """Return what comes out when *pieces* go in, signs of life left out."""
    parser = Parser(max_size=most, deflated=deflated)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [event for event in events if not isinstance(event, Alive)]


def judged(data: bytes, *, deflated: bool) -> list[Event]:
    """Return what the library makes of *data*; reasons are left out."""
    protocol = Protocol(Side.SERVER, max_size=None, logger=SILENT)
    if deflated:
        protocol.extensions = [
            PerMessageDeflate(
                remote_no_context_takeover=True,
                local_no_context_takeover=True,
                remote_max_window_bits=15,
                local_max_window_bits=15,
            )
        ]
    protocol.receive_data(data)
    events: list[Event] = []
    message = bytearray()
    for found in protocol.events_received():
        assert isinstance(found, Frame)
        match found.opcode:
            case Opcode.PING:
                events.append(Pinged(bytes(found.data)))
            case Opcode.BINARY:
                return [*events, Fault(1003, "")]
            case Opcode.TEXT | Opcode.CONT:
                message += found.data
                if found.fin:
                    try:
                        events.append(message.decode())
                    except UnicodeDecodeError:
                        return [*events, Fault(1007, "")]
                    message.clear()
            case _:
                pass
    if protocol.close_rcvd is not None:
        # The library takes a close in the middle of a message for a fault; RFC 6455, 5.4, does not.
        events.append(Closed(protocol.close_rcvd.code, b""))
    elif protocol.close_sent is not None:
        events.append(Fault(protocol.close_sent.code, ""))
    return events


def plain(events: list[Event]) -> list[Event]:
    """Leave out what the judge does not tell."""
    return [
        Fault(event.code, "")
        if isinstance(event, Fault)
        else Closed(event.code, b"")
        if isinstance(event, Closed)
        else event
        for event in events
    ]


def squeezed(text: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(text) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


texts = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.sampled_from([125, 126, 127, 300]).map(lambda size: b"x" * size),
    st.binary(max_size=8),
)
codes = st.one_of(
    st.sampled_from([1000, 1001, 1005, 1006, 1015, 2999, 3000, 4999, 5000]), st.integers(0, 65_535)
)
closes = st.one_of(
    st.just(b""),
    st.just(b"\x03"),
    st.builds(lambda code, reason: code.to_bytes(2, "big") + reason, codes, st.binary(max_size=6)),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message in fragments, compressed or not, with control frames between them."""
    payload = draw(texts)
    rsv = draw(st.sampled_from([0, 0, 4]))
    if rsv:
        payload = squeezed(payload)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    parts = [payload[start:end] for start, end in pairwise([0, *cuts, len(payload)])]
    between = st.sampled_from([b"", b"", frame(PING, b"x"), frame(PONG)])
    return b"".join(
        frame(CONT if index else TEXT, part, fin=index == len(parts) - 1, rsv=0 if index else rsv)
        + (draw(between) if index < len(parts) - 1 else b"")
        for index, part in enumerate(parts)
    )


anything = st.builds(
    frame,
    st.sampled_from([CONT, TEXT, TEXT, BINARY, PING, PONG, 0x3, 0xB]),
    texts,
    fin=st.sampled_from([True, True, True, False]),
    masked=st.sampled_from([True, True, True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 0, 0, 1, 2]),
)
streams = st.lists(
    st.one_of(messages(), messages(), anything, st.builds(frame, st.just(CLOSE), closes)), max_size=6
).map(b"".join)


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """A stream, cut anywhere."""
    data = draw(streams)
    at = draw(st.sets(st.integers(0, len(data)), max_size=6))
    return [data[start:end] for start, end in pairwise(sorted({0, *at, len(data)}))]


@given(cut=pieces(), deflated=st.booleans())
@example(cut=[frame(TEXT, b"{}", fin=False), frame(CLOSE, b"\x03\xe8")], deflated=False)
@example(cut=[frame(TEXT, b"{", fin=False), frame(TEXT, b"}")], deflated=False)
@example(cut=[frame(TEXT, b"hello world")[:9], frame(TEXT, b"hello world")[9:]], deflated=False)
@example(cut=[frame(TEXT, b"{}", rsv=2)], deflated=True)
@example(cut=[frame(TEXT, b"{}", rsv=6)], deflated=True)
@settings(max_examples=300)
def test_the_events_are_those_of_the_library_wherever_the_bytes_are_cut(
    cut: list[bytes], deflated: bool
) -> None:
    data = b"".join(cut)

    found = plain(fed(cut, deflated=deflated))

    assert found == plain(fed([data[at : at + 1] for at in range(len(data))], deflated=deflated))
    assert found == judged(data, deflated=deflated)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 120))
def test_a_message_is_taken_just_when_its_fragments_are_within_the_limit(sizes: list[int], most: int) -> None:
    last = len(sizes) - 1
    data = b"".join(
        frame(CONT if index else TEXT, b"x" * size, fin=index == last) for index, size in enumerate(sizes)
    )

    events = fed([data], most=most)

    if sum(sizes) <= most:
        assert events == ["x" * sum(sizes)]
    else:
        assert events == [Fault(1009, f"a message may have {most} bytes")]


def test_the_codes_that_may_be_sent_are_those_that_the_library_takes() -> None:
    closes = {code: frame(CLOSE, code.to_bytes(2, "big")) for code in [*range(5_100), 65_535]}

    for code, data in closes.items():
        assert plain(fed([data])) == judged(data, deflated=False), code


@pytest.mark.parametrize(
    "length",
    [b"\xfe\x00\x05", b"\xfe\x00\x7d", b"\xff" + bytes(7) + b"\x05", b"\xff" + bytes(6) + b"\xff\xff"],
)
def test_a_length_that_takes_more_bytes_than_it_has_to_is_a_broken_rule(length: bytes) -> None:
    [fault] = fed([b"\x81" + length])

    assert isinstance(fault, Fault)
    assert fault.code == 1002


def test_a_length_with_its_highest_bit_set_is_a_broken_rule() -> None:
    [fault] = fed([b"\x81\xff\x80" + bytes(7)])

    assert isinstance(fault, Fault)
    assert fault.code == 1002


def test_what_comes_compressed_has_its_limit_when_it_is_inflated() -> None:
    data = frame(TEXT, squeezed(b"0" * 100), rsv=4)

    assert fed([data], deflated=True, most=100) == ["0" * 100]
    assert plain(fed([data], deflated=True, most=99)) == [Fault(1009, "")]


def test_what_cannot_be_inflated_is_a_broken_rule() -> None:
    assert plain(fed([frame(TEXT, b"\xff\xff\xff", rsv=4)], deflated=True)) == [Fault(1002, "")]


def test_nothing_is_read_after_a_close_or_a_fault() -> None:
    for last in (frame(CLOSE, b"\x03\xe8"), frame(BINARY)):
        parser = Parser(max_size=MOST)

        assert len(parser.feed(last + frame(TEXT, b"{}"))) == 1
        assert parser.feed(frame(TEXT, b"{}")) == []


def test_signs_of_life_are_told() -> None:
    parser = Parser(max_size=MOST)

    assert parser.feed(frame(PONG) + frame(TEXT, b"{", fin=False)) == [Alive(), Alive()]
    assert parser.feed(frame(CONT, b"}")) == ["{}"]


def test_a_connection_between_two_messages_keeps_no_buffer() -> None:
    parser = Parser(max_size=MOST)
    data = frame(TEXT, b"x" * 5_000)

    for piece in (data[:3], data[3:2_000], data[2_000:] + data):
        parser.feed(piece)

    assert parser._rest is None
    assert parser._message is None
