import asyncio
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

import pytest

from broadcaster import Message
from broadcaster.protocol.api import ApiRequest
from broadcaster.protocol.handshake import Refusal
from broadcaster.server.node import Node
from tests.server.clients import APP


class Recording:
    """A wire that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def write(self, payload: str, /) -> None:
        self.said.append(payload)

    def probe(self) -> None:
        self.said.append("probe")

    def hang_up(self, code: int, reason: str) -> None:
        self.said.append((code, reason))


async def test_a_frame_is_encoded_once_however_many_connections_get_it() -> None:
    encoded: list[str] = []

    def encode(text: str) -> str:
        encoded.append(text)
        return text

    node = Node([APP], encode=encode)
    wires = [Recording() for _ in range(100)]
    hub = node.admit(APP.key, {"protocol": "7"})
    assert not isinstance(hub, Refusal)
    for wire in wires:
        node.connect(hub, wire).received('{"event":"pusher:subscribe","data":{"channel":"c"}}')
    encoded.clear()

    node.perform(hub.broadcast("e", ["c"], "{}"))

    assert len(encoded) == 1
    assert all(wire.said[-1] is encoded[0] for wire in wires)


async def test_closing_hangs_up_on_everybody_with_4100_and_is_told_to_health_checks() -> None:
    node = Node([APP], encode=str)
    node.open()
    hub = node.admit(APP.key, {"protocol": "7"})
    assert not isinstance(hub, Refusal)
    wire = Recording()
    node.connect(hub, wire)

    node.close()

    assert wire.said[-1] == (4100, "Server is going away")
    assert node.connection_count == 0
    assert node.answer(ApiRequest("GET", "/up")).status == 503


@pytest.mark.parametrize(
    ("key", "params", "code"),
    [("x", {"protocol": "7"}, 4001), (APP.key, {}, 4008), (APP.key, {"protocol": "x"}, 4007)],
)
def test_who_may_not_open_a_connection_is_told_why(key: str, params: dict[str, str], code: int) -> None:
    node = Node([APP], encode=str)
    wire = Recording()

    refusal = node.admit(key, params)
    assert isinstance(refusal, Refusal)
    node.refuse(refusal, wire)

    assert f'"code":{code}' in str(wire.said[0])
    assert wire.said[1] == (code, refusal.message)


async def test_a_message_that_its_sender_gave_up_on_is_not_pushed_any_more() -> None:
    node = Node([APP], encode=str)
    node.open()
    hub = node.admit(APP.key, {"protocol": "7"})
    assert not isinstance(hub, Refusal)
    wire = Recording()
    node.connect(hub, wire).received('{"event":"pusher:subscribe","data":{"channel":"c"}}')
    with ThreadPoolExecutor() as threads:
        # Waited for without giving the loop a turn, in which it would push the message.
        given_up = threads.submit(node.publish, Message("late", ("c",), "{}")).result(5)
        follower = threads.submit(node.publish, Message("next", ("c",), "{}")).result(5)
    given_up.cancel()

    await asyncio.wait_for(asyncio.wrap_future(follower), 5)

    assert wire.said[-1] == '{"event":"next","channel":"c","data":"{}"}'
    assert not any('"late"' in str(said) for said in wire.said)


async def test_a_node_that_closes_while_another_thread_publishes_breaks_nothing_there() -> None:
    node = Node([APP], encode=str)
    node.open()

    def close_in_between(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and called is threading.get_ident:
            node.close()

    def publish() -> Future[None]:
        sys.setprofile(close_in_between)
        try:
            return node.publish(Message("e", ("lobby",), "{}"))
        finally:
            sys.setprofile(None)

    future = await asyncio.to_thread(publish)
    await asyncio.wait_for(asyncio.wrap_future(future), 5.0)

    assert not node.is_open
