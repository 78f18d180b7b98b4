import asyncio
import gc
import itertools
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadcaster.server import _outbox, _pure_outbox, outbox
from broadcaster.server.outbox import outbox_of

PLENTY = 3_000_000
"""More bytes than the kernel keeps for a peer that does not read."""

IMPLEMENTATIONS: dict[str, Any] = {"c": _outbox, "python": _pure_outbox}

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=IMPLEMENTATIONS)
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the types, in C and in Python."""
    implementation = IMPLEMENTATIONS[request.param]
    monkeypatch.setattr(outbox, "Outbox", implementation.Outbox)
    return implementation


@pytest.fixture(params=LOOPS)
def loop_of(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return LOOPS[request.param]


class End(asyncio.Protocol):
    """The server's end of a connection, which closes its outbox as soon as it is lost."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()
        self.outbox: Any = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.outbox.close()
        self.lost.set_result(exc)


class Peer:
    """A connection: an outbox here, and a client that reads when it is told to."""

    def __init__(self, client: socket.socket, transport: asyncio.Transport, end: End) -> None:
        self.client, self.transport, self.end = client, transport, end
        self.outbox = end.outbox

    async def read(self, size: int) -> bytes:
        loop, got = asyncio.get_running_loop(), bytearray()
        async with asyncio.timeout(20):
            while len(got) < size:
                piece = await loop.sock_recv(self.client, 1_000_000)
                assert piece, f"the connection ends after {len(got)} of {size} bytes"
                got += piece
        return bytes(got)

    def read_now(self) -> bytes:
        """Return what has arrived, in one read."""
        try:
            return self.client.recv(10_000_000)
        except BlockingIOError:
            return b""


@asynccontextmanager
async def peers(flusher: Any, count: int, *, deflated: bool = False) -> AsyncIterator[list[Peer]]:
    loop, opened = asyncio.get_running_loop(), []
    for _ in range(count):
        ours, client = socket.socketpair()
        client.setblocking(False)
        transport, end = await loop.create_connection(End, sock=ours)
        end.outbox = outbox_of(flusher, transport, deflated=deflated)
        opened.append(Peer(client, transport, end))
    try:
        yield opened
    finally:
        for peer in opened:
            peer.transport.abort()
            await peer.end.lost
            peer.client.close()


def flusher_of(made: Any) -> Any:
    return made.Flusher(asyncio.get_running_loop().call_soon)


async def turn() -> None:
    """Let one turn of the loop end."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def run(loop_of: Callable[[], asyncio.AbstractEventLoop], main: Any) -> None:
    with asyncio.Runner(loop_factory=loop_of) as runner:
        runner.run(main())


def test_what_is_written_in_one_turn_leaves_together_and_in_order(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        flusher = flusher_of(made)
        async with peers(flusher, 3) as [first, second, third]:
            await turn()
            crowd = made.Crowd([first.outbox, second.outbox])
            first.outbox.write(b"1")
            assert crowd.write(b"2", None) == 2
            second.outbox.write(b"3")
            assert crowd.write(b"4", second.outbox) == 1

            assert first.read_now() == second.read_now() == b""
            await turn()
            assert first.read_now() == b"124"
            assert second.read_now() == b"23"
            assert third.read_now() == b""

    run(loop_of, main)


def test_a_compressed_frame_goes_to_those_who_take_it(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        flusher = flusher_of(made)
        async with peers(flusher, 1) as [plain], peers(flusher, 1, deflated=True) as [small]:
            crowd = made.Crowd([plain.outbox, small.outbox])
            crowd.write(b"plain ", None, b"small ")
            crowd.write(b"both", None)

            assert await plain.read(10) == b"plain both"
            assert await small.read(10) == b"small both"
            assert crowd.deflated
            assert not made.Crowd([plain.outbox]).deflated

    run(loop_of, main)


def test_a_peer_that_reads_late_gets_everything_in_order(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        flusher = flusher_of(made)
        async with peers(flusher, 2) as [slow, quick]:
            crowd, wanted = made.Crowd([slow.outbox, quick.outbox]), bytearray()
            for number in itertools.count():
                frame = b"%d," % number * 3_000
                crowd.write(frame, None)
                slow.outbox.write(b"!")
                wanted += frame + b"!"
                assert await quick.read(len(frame)) == frame
                if len(wanted) > PLENTY:
                    break
            assert slow.transport.get_write_buffer_size() > 0

            assert await slow.read(len(wanted)) == wanted
            crowd.write(b"and on", None)
            assert await slow.read(6) == b"and on"

    run(loop_of, main)


def test_nothing_overtakes_what_the_transport_has_still_to_write(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        async with peers(flusher_of(made), 1) as [peer]:
            frames = [b"%d," % number * 3_000 for number in range(200)]
            for frame in frames:
                peer.outbox.write(frame)
                peer.outbox.flush()
            assert peer.transport.get_write_buffer_size() > 0

            # Now there is room in the socket, which nobody has told the transport.
            got = peer.read_now()
            peer.outbox.write(b"last")
            peer.outbox.flush()

            wanted = b"".join([*frames, b"last"])
            assert got + await peer.read(len(wanted) - len(got)) == wanted

    run(loop_of, main)


def test_more_than_the_kernel_takes_at_once_is_sent_at_once(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        async with peers(flusher_of(made), 1) as [peer]:
            frames = [b"%d;" % number for number in range(5_000)]
            for frame in frames:
                peer.outbox.write(frame)

            whole = b"".join(frames)
            assert await peer.read(len(whole)) == whole

    run(loop_of, main)


def test_what_would_take_much_memory_does_not_wait_for_the_end_of_the_turn(made: Any) -> None:
    async def main() -> None:
        async with peers(flusher_of(made), 2) as [first, second]:
            await turn()
            crowd = made.Crowd([first.outbox, second.outbox])
            for _ in range(300):
                crowd.write(b"x" * 1_000, None)
            # Nothing has run meanwhile.
            assert first.read_now()

    # asyncio's own transports write at once, so that what they were given can be seen.
    run(asyncio.new_event_loop, main)


def test_a_closed_outbox_takes_nothing_and_keeps_nothing(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        flusher = flusher_of(made)
        async with peers(flusher, 2) as [closed, other]:
            crowd = made.Crowd([closed.outbox, other.outbox])
            crowd.write(b"before", None)
            closed.outbox.close()
            closed.outbox.write(b"after")
            closed.outbox.flush()
            crowd.write(b"after", None)
            assert await other.read(11) == b"beforeafter"
            assert closed.read_now() == b""

    run(loop_of, main)


def test_flushing_sends_at_once_and_once(made: Any) -> None:
    async def main() -> None:
        async with peers(flusher_of(made), 1) as [peer]:
            peer.outbox.write(b"now")
            peer.outbox.flush()
            assert peer.read_now() == b"now"
            peer.outbox.write(b"later")
            await turn()
            assert peer.read_now() == b"later"

    run(asyncio.new_event_loop, main)


def test_a_peer_that_has_gone_is_lost_without_a_word(made: Any, loop_of: Any) -> None:
    async def main() -> None:
        troubles: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        async with peers(flusher_of(made), 2) as [gone, here]:
            crowd = made.Crowd([gone.outbox, here.outbox])
            gone.client.close()
            for _ in range(3):
                crowd.write(b"x", None)
                assert await here.read(1) == b"x"
            async with asyncio.timeout(10):
                await gone.end.lost
        assert troubles == []

    run(loop_of, main)


class Told(asyncio.WriteTransport):
    """A transport that does what it is told to when it is written to."""

    def __init__(self, written: Callable[[bytes], None]) -> None:
        super().__init__({"socket": None})
        self._written = written

    def write(self, data: Any) -> None:
        self._written(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0


async def test_one_connections_trouble_is_not_the_others(made: Any) -> None:
    def fail(_: bytes) -> None:
        raise RuntimeError("no more")

    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context["exception"]))
    flusher, said = flusher_of(made), list[bytes]()
    outboxes = [made.Outbox(flusher, Told(write), -1, False) for write in (fail, said.append, fail)]

    made.Crowd(outboxes).write(b"x", None)
    await turn()

    assert said == [b"x"]
    assert [str(trouble) for trouble in troubles] == ["no more"]


async def test_what_is_written_while_others_are_sent_is_sent_too(made: Any) -> None:
    flusher, said = flusher_of(made), list[bytes]()

    def answer(data: bytes) -> None:
        said.append(data)
        if data == b"question":
            second.write(b"answer")
            first.write(b"more")

    first, second = (made.Outbox(flusher, Told(answer), -1, False) for _ in range(2))
    first.write(b"question")
    await turn()
    await turn()

    assert sorted(said) == [b"answer", b"more", b"question"]


async def test_a_connection_may_be_lost_while_it_is_written_to(made: Any) -> None:
    flusher = flusher_of(made)
    outboxes: list[Any] = []
    outboxes += [made.Outbox(flusher, Told(lambda _: outboxes[0].close()), -1, False)]

    outboxes[0].write(b"x")
    await turn()
    outboxes[0].write(b"y")
    await turn()


def test_a_crowd_is_of_one_event_loop(made: Any) -> None:
    one, other = (made.Flusher(lambda _: None) for _ in range(2))
    outboxes = [made.Outbox(flusher, Told(lambda _: None), -1, False) for flusher in (one, other)]

    with pytest.raises(ValueError, match="one flusher"):
        made.Crowd(outboxes)
    assert made.Crowd([]).write(b"nobody", None) == 0


async def test_nothing_is_kept_once_it_is_sent(made: Any) -> None:
    flusher = flusher_of(made)
    payload, small = os.urandom(100), os.urandom(50)
    async with peers(flusher, 5) as connections:
        crowd = made.Crowd([peer.outbox for peer in connections])
        before = sys.getrefcount(payload), sys.getrefcount(small)
        for _ in range(10):
            crowd.write(payload, None, small)
            connections[0].outbox.write(payload)
            await turn()
        assert (sys.getrefcount(payload), sys.getrefcount(small)) == before


async def test_nothing_keeps_a_connection_that_was_dropped(made: Any) -> None:
    flusher = flusher_of(made)
    transport = Told(lambda _: None)
    dropped = made.Outbox(flusher, transport, -1, False)
    transport.outbox = dropped  # type: ignore[attr-defined]
    crowd = made.Crowd([dropped])
    transport.crowd = crowd  # type: ignore[attr-defined]
    crowd.write(b"x", None)
    await turn()
    gone = weakref.ref(transport)

    del transport, dropped, crowd
    gc.collect()

    assert gone() is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("one"), st.integers(0, 3), st.integers(1, 70_000)),
            st.tuples(st.just("crowd"), st.integers(0, 4), st.integers(1, 70_000)),
            st.tuples(st.just("turn"), st.just(0), st.just(0)),
            st.tuples(st.just("read"), st.integers(0, 3), st.just(0)),
            st.tuples(st.just("flush"), st.integers(0, 3), st.just(0)),
        ),
        max_size=60,
    )
)
def test_everybody_gets_what_was_written_whatever_happens(made: Any, loop_of: Any, steps: Any) -> None:
    async def main() -> None:
        flusher = flusher_of(made)
        async with peers(flusher, 4) as connections:
            crowd = made.Crowd([peer.outbox for peer in connections])
            wanted = [bytearray() for _ in connections]
            got = [bytearray() for _ in connections]
            for number, (step, which, size) in enumerate(steps):
                frame = b"%d." % number * size
                match step:
                    case "one":
                        connections[which].outbox.write(frame)
                        wanted[which] += frame
                    case "crowd":
                        left_out = connections[which].outbox if which < 4 else None
                        crowd.write(frame, left_out)
                        for other in {0, 1, 2, 3} - {which}:
                            wanted[other] += frame
                    case "turn":
                        await turn()
                    case "read":
                        got[which] += connections[which].read_now()
                    case "flush":
                        connections[which].outbox.flush()
            for peer, received, expected in zip(connections, got, wanted, strict=True):
                assert received + await peer.read(len(expected) - len(received)) == expected

    run(loop_of, main)


def test_the_c_part_refuses_what_is_no_outbox_and_no_bytes() -> None:
    flusher = _outbox.Flusher(lambda _: None)
    box = _outbox.Outbox(flusher, Told(lambda _: None), -1, False)

    with pytest.raises(TypeError, match="made of outboxes, not of 'x'"):
        _outbox.Crowd(["x"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="bytes"):
        box.write("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes"):
        _outbox.Crowd([box]).write("text", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "accelerated"), [("1", "False"), ("", "True")])
def test_the_c_part_can_be_left_alone(value: str, accelerated: str) -> None:
    source = "from broadcaster.server.outbox import ACCELERATED; print(ACCELERATED)"
    env = {**os.environ, "BROADCAST_PURE_PYTHON": value}
    said = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True, check=True)

    assert said.stdout.strip() == accelerated
