from typing import Any

import pytest

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Push
from broadcaster.protocol.subscribers import Audience
from broadcaster.protocol.tally import Tally
from broadcaster.server.fanout import Fanout


class Wire:
    """Keeps what is written."""

    def __init__(self, *, deflated: bool) -> None:
        self.deflated = deflated
        self.said: list[bytes] = []

    def write(self, payload: bytes, /) -> None:
        self.said.append(payload)

    def probe(self) -> None:
        """Say nothing."""

    def hang_up(self, code: int, reason: str) -> None:
        """Say nothing."""


def connections(*wires: Wire) -> tuple[Connection, ...]:
    return tuple(Connection(f"{number}.1", wire, "") for number, wire in enumerate(wires))


@pytest.mark.parametrize("size", [10, 1_000])
def test_what_is_counted_is_what_was_written(size: int) -> None:
    fanout, tally = Fanout(str.encode, lambda text: b"deflated"), Tally()
    wires = [Wire(deflated=number % 2 == 0) for number in range(5)]
    audience = connections(*wires)

    fanout.push(Push("x" * size, audience), tally)
    fanout.push(Push("x" * size, audience, audience[2]), tally)
    fanout.push(Push("x" * size, audience, connections(Wire(deflated=False))[0]), tally)

    assert tally.frames_sent == sum(len(wire.said) for wire in wires) == 14
    assert tally.bytes_sent == 14 * size
    assert len(wires[2].said) == 2


def test_only_a_large_frame_is_compressed_and_only_for_those_who_take_it() -> None:
    fanout = Fanout(str.encode, lambda text: b"deflated")
    takes, does_not = Wire(deflated=True), Wire(deflated=False)

    for size in (511, 512):
        fanout.push(Push("x" * size, connections(takes, does_not)), Tally())

    assert takes.said == [b"x" * 511, b"deflated"]
    assert does_not.said == [b"x" * 511, b"x" * 512]


class Crowd:
    """Keeps what is written to all, and to whom."""

    made = 0

    def __init__(self, audience: Audience) -> None:
        Crowd.made += 1
        self.deflated = any(connection.wire.deflated for connection in audience)
        self.said: list[tuple[bytes, Any, bytes | None]] = []
        self._count = len(audience)

    def write(self, payload: bytes, without: Any, deflated: bytes | None = None, /) -> int:
        self.said.append((payload, without, deflated))
        return self._count - (without is not None)


class Boxed(Wire):
    """A wire with an outbox."""

    outbox = "outbox"


@pytest.mark.parametrize("deflated", [True, False])
def test_a_channel_is_written_to_as_to_one_and_gathered_once(deflated: bool) -> None:
    fanout, tally = Fanout(str.encode, lambda text: b"deflated", Crowd), Tally()
    audience = Audience(connections(Boxed(deflated=deflated), Boxed(deflated=False)))
    before = Crowd.made

    fanout.push(Push("x" * 10, audience), tally)
    fanout.push(Push("x" * 600, audience, audience[1]), tally)
    fanout.push(Push("to one", audience[:1]), tally)

    assert Crowd.made == before + 1
    assert audience.crowd.said == [
        (b"x" * 10, None, None),
        (b"x" * 600, "outbox", b"deflated" if deflated else None),
    ]
    assert tally.frames_sent == 4
    wire = audience[0].wire
    assert isinstance(wire, Wire)
    assert wire.said == [b"to one"]
