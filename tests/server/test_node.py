import asyncio
import json
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import FrameType

import pytest

from broadcaster import ConfigurationError, Message
from broadcaster.protocol.handshake import Refusal, Visit
from broadcaster.protocol.limits import Limits
from broadcaster.server.apps import App
from broadcaster.server.node import Node
from broadcaster.server.session import Session
from broadcaster.signing import Credentials
from tests.server.clients import APP


class Recording:
    """A wire that keeps what it is told."""

    def __init__(self, *, deflated: bool = False) -> None:
        self.deflated = deflated
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
    hub = node.admit(APP.key, Visit({"protocol": "7"}))
    assert not isinstance(hub, Refusal)
    for wire in wires:
        node.connect(hub, wire).received('{"event":"pusher:subscribe","data":{"channel":"c"}}')
    encoded.clear()

    node.perform(hub, hub.broadcast("e", ["c"], "{}"))

    assert len(encoded) == 1
    assert all(wire.said[-1] is encoded[0] for wire in wires)


async def test_closing_hangs_up_on_everybody_with_4100_and_is_told_to_health_checks() -> None:
    node = Node([APP], encode=str)
    node.open()
    hub = node.admit(APP.key, Visit({"protocol": "7"}))
    assert not isinstance(hub, Refusal)
    wire = Recording()
    node.connect(hub, wire)

    node.close()

    assert wire.said[-1] == (4100, "Server is going away")
    assert node.connection_count == 0
    assert node.health("/up").status == 503


async def test_what_is_sent_before_the_first_tick_is_remembered() -> None:
    node = Node([replace(APP, history=("kept",), limits=Limits(history_seconds=60))], encode=str)
    hub = node.admit(APP.key, Visit({"protocol": "7"}))
    assert not isinstance(hub, Refusal)
    wire = Recording()
    session = node.connect(hub, wire)
    session.received('{"event":"pusher:subscribe","data":{"channel":"kept"}}')
    last_id = json.loads(str(wire.said[-1]))["id"]
    node.perform(hub, hub.broadcast("e", ["kept"], "{}"))

    node.tick()
    session.received('{"event":"pusher:unsubscribe","data":{"channel":"kept"}}')
    session.received(f'{{"event":"pusher:subscribe","data":{{"channel":"kept","last_id":"{last_id}"}}}}')

    assert [json.loads(str(said))["event"] for said in wire.said[-2:]] == [
        "pusher_internal:subscription_succeeded",
        "e",
    ]


@pytest.mark.parametrize(
    ("key", "params", "code"),
    [("x", {"protocol": "7"}, 4001), (APP.key, {}, 4008), (APP.key, {"protocol": "x"}, 4007)],
)
def test_who_may_not_open_a_connection_is_told_why(key: str, params: dict[str, str], code: int) -> None:
    node = Node([APP], encode=str)
    wire = Recording()

    refusal = node.admit(key, Visit(params))
    assert isinstance(refusal, Refusal)
    node.refuse(refusal, wire)

    assert f'"code":{code}' in str(wire.said[0])
    assert wire.said[1] == (code, refusal.message)


async def test_a_message_that_its_sender_gave_up_on_is_not_pushed_any_more() -> None:
    node = Node([APP], encode=str)
    node.open()
    hub = node.admit(APP.key, Visit({"protocol": "7"}))
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


# Applications that come, change and go

OLD = App("1", "old-key", "old-secret")
NEW = App("1", "new-key", "new-secret", other_keys=(OLD.credentials,))


def connect(node: Node, key: str) -> tuple[Session, Recording]:
    hub = node.admit(key, Visit({"protocol": "7"}))
    assert not isinstance(hub, Refusal)
    wire = Recording()
    return node.connect(hub, wire), wire


def subscribe(session: Session, wire: Recording, credentials: Credentials) -> str:
    """Subscribe to a private channel by a signature with *credentials*; return what comes back."""
    socket_id = json.loads(json.loads(str(wire.said[0]))["data"])["socket_id"]
    auth = credentials.channel_auth(socket_id, "private-a")
    data = {"channel": "private-a", "auth": auth}
    session.received(json.dumps({"event": "pusher:subscribe", "data": data}))
    return str(json.loads(str(wire.said[-1]))["event"])


def test_a_key_is_replaced_without_a_connection_being_dropped() -> None:
    node = Node([OLD], encode=str)
    session, wire = connect(node, "old-key")

    node.serve([NEW])
    by_both = [subscribe(session, wire, pair) for pair in (OLD.credentials, NEW.credentials)]
    connect(node, "old-key")
    connect(node, "new-key")
    node.serve([replace(NEW, other_keys=())])

    assert by_both == ["pusher_internal:subscription_succeeded"] * 2
    assert subscribe(session, wire, OLD.credentials) == "pusher:subscription_error"
    assert isinstance(node.admit("old-key", Visit({"protocol": "7"})), Refusal)
    assert node.connection_count == 3
    assert not any(isinstance(said, tuple) for said in wire.said)


def test_what_was_joined_stays_joined_when_the_limits_change() -> None:
    node = Node([OLD], encode=str)
    session, wire = connect(node, "old-key")
    subscribe(session, wire, OLD.credentials)

    node.serve([replace(OLD, client_events=False, limits=Limits(channels_per_connection=1))])
    hub = node.admit("old-key", Visit({"protocol": "7"}))
    assert not isinstance(hub, Refusal)
    node.perform(hub, hub.broadcast("news", ["private-a"], "{}"))

    assert wire.said[-1] == '{"event":"news","channel":"private-a","data":"{}"}'


def test_an_application_that_is_gone_is_4001_for_its_connections_and_no_others() -> None:
    other = App("2", "other-key", "other-secret")
    node = Node([OLD, other], encode=str)
    _, gone = connect(node, "old-key")
    _, stays = connect(node, "other-key")

    node.serve([other])

    assert gone.said[-1] == (4001, "The application is not served any more")
    assert len(stays.said) == 1
    assert node.connection_count == 1


def test_applications_that_cannot_be_served_change_nothing() -> None:
    node = Node([OLD], encode=str)
    connect(node, "old-key")

    with pytest.raises(ConfigurationError):
        node.serve([])

    assert (node.apps, node.connection_count) == ([OLD], 1)
