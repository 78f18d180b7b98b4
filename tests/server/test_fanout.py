import pytest

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Push
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
