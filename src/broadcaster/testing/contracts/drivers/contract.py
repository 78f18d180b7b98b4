"""What every driver does, wherever it delivers to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from broadcaster.drivers.base import Driver
from broadcaster.messages import Message
from broadcaster.testing.contracts.drivers.peers import PATIENCE, Peer, Received
from broadcaster.testing.contracts.drivers.verbs import AsyncVerb, BlockingVerb, Verb

__all__ = ["DriverContract", "numbered"]


def numbered(count: int) -> list[Message]:
    """Make so many messages on one channel, each with its number as data."""
    return [Message("tick", ("lobby",), json.dumps({"n": number})) for number in range(count)]


class DriverContract:
    """What every driver does; subclass it in a test module as `TestMyDriver` and define `peer`."""

    @pytest.fixture(params=[BlockingVerb, AsyncVerb], ids=["deliver", "adeliver"])
    def verb(self, request: pytest.FixtureRequest) -> Iterator[Verb]:
        """Call the driver by each of its verbs."""
        verb: Verb = request.param()
        yield verb
        verb.end()

    @pytest.fixture
    def make(self, peer: Peer, verb: Verb) -> Iterator[Callable[..., Driver]]:
        """Make drivers that are closed at the end; takes what `Peer.driver()` takes."""
        made: list[Driver] = []

        def make(**options: Any) -> Driver:
            made.append(peer.driver(**options))
            return made[-1]

        yield make
        for driver in made:
            verb.close(driver)

    @pytest.fixture
    def driver(self, make: Callable[..., Driver]) -> Driver:
        """Make a driver as it is by default."""
        return make()

    def check(self, peer: Peer, messages: Sequence[Message]) -> None:
        """Fail unless just *messages* arrived, in order on each channel."""
        expected = _expected(messages)
        arrived = peer.received(len(expected))
        channels = {received.channel for received in [*expected, *arrived]}
        for channel in sorted(channels):
            assert _on(channel, arrived) == _on(channel, expected)

    def check_all(self, peer: Peer, messages: Sequence[Message]) -> None:
        """Fail unless just *messages* arrived, each once, in whatever order."""
        expected = _expected(messages)
        arrived = peer.received(len(expected))
        assert _counted(arrived) == _counted(expected)

    def test_a_message_arrives_whole(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        message = Message("order.shipped", ("private-orders.7",), '{"order_id":7,"lines":[{"sku":"a"}]}')
        peer.listen("private-orders.7")

        verb.deliver(driver, message)

        self.check(peer, [message])

    def test_a_message_arrives_on_each_of_its_channels(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        message = Message("ping", ("lobby", "private-a", "presence-b", "orders.7"), '{"n":1}')
        peer.listen(*message.channels)

        verb.deliver(driver, message)

        self.check(peer, [message])

    def test_a_message_on_very_many_channels_arrives(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        message = Message("ping", tuple(f"room.{number}" for number in range(120)), '{"n":1}')
        peer.listen(*message.channels)

        verb.deliver(driver, message)

        self.check(peer, [message])

    def test_the_socket_to_leave_out_is_told(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        messages = [
            Message("ping", ("lobby",), '{"n":1}', except_socket=peer.socket_id),
            Message("ping", ("lobby",), '{"n":2}'),
        ]
        again = _anew(messages)
        peer.listen("lobby")

        verb.deliver(driver, *messages)
        verb.deliver_many(driver, again)

        self.check(peer, [*messages, *again])

    @pytest.mark.parametrize(
        "name", ["order.shipped", "App\\Events\\OrderShipped", "commande/expédiée ☃ 😀", '"']
    )
    def test_a_name_may_hold_any_character(self, name: str, peer: Peer, driver: Driver, verb: Verb) -> None:
        message = Message(name, ("lobby",), "{}")
        peer.listen("lobby")

        verb.deliver(driver, message)

        self.check(peer, [message])

    @pytest.mark.parametrize(
        "value",
        [
            {},
            [],
            [1, {"a": None}],
            "text",
            7,
            {"text": 'é ☃ 😀 \u2028 \x00 \x7f \\ " / </script> %s {} \r\n\t'},
            {"ключ": {"deep": [[[{"n": -1.5e-7}]]]}, "big": 2**53, "yes": True, "no": None},
        ],
        ids=["object", "list", "values", "string", "number", "text", "nested"],
    )
    def test_data_may_be_any_json(self, value: Any, peer: Peer, driver: Driver, verb: Verb) -> None:
        messages = [
            Message("ping", ("lobby",), json.dumps(value)),
            Message("ping", ("lobby",), json.dumps(value, ensure_ascii=False, separators=(",", ":"))),
        ]
        again = _anew(messages)
        peer.listen("lobby")

        verb.deliver(driver, *messages)
        verb.deliver_many(driver, again)

        self.check(peer, [*messages, *again])

    def test_large_data_arrives(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        messages = [
            Message("ping", ("lobby",), json.dumps({"text": "x" * 9_000})),
            Message("ping", ("lobby",), json.dumps({"text": "☃" * 3_000}, ensure_ascii=False)),
        ]
        again = _anew(messages * 10)
        peer.listen("lobby")

        verb.deliver(driver, *messages)
        verb.deliver_many(driver, again)

        self.check(peer, [*messages, *again])

    def test_a_batch_arrives_in_order(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        channels = [("lobby",), ("lobby", "orders.7"), ("private-a",)]
        messages = [Message("tick", channels[n % 3], json.dumps({"n": n})) for n in range(57)]
        peer.listen("lobby", "orders.7", "private-a")

        verb.deliver_many(driver, messages)

        self.check(peer, messages)

    def test_an_empty_batch_is_delivered_at_once(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        after = Message("ping", ("lobby",), "{}")
        peer.listen("lobby")

        verb.deliver_many(driver, [])
        verb.deliver(driver, after)

        self.check(peer, [after])

    def test_a_closed_driver_opens_again(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        messages = numbered(3)
        peer.listen("lobby")

        verb.close(driver)
        for message in messages:
            verb.deliver(driver, message)
            verb.close(driver)
            verb.close(driver)

        self.check(peer, messages)

    def test_many_may_be_in_flight(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        messages = numbered(50)
        peer.listen("lobby")

        verb.deliver_at_once(driver, messages)

        self.check_all(peer, messages)

    def test_threads_and_their_event_loops_share_a_driver(
        self, peer: Peer, driver: Driver, verb: Verb
    ) -> None:
        messages = numbered(80)
        peer.listen("lobby")

        with ThreadPoolExecutor(8) as threads:
            lives = [threads.submit(verb.deliver_elsewhere, driver, *messages[n::8]) for n in range(8)]
            for life in lives:
                life.result(PATIENCE)

        self.check_all(peer, messages)

    def test_one_event_loop_may_follow_another(self, peer: Peer, driver: Driver, verb: Verb) -> None:
        messages = numbered(4)
        peer.listen("lobby")

        for message in messages[:2]:
            verb.deliver_elsewhere(driver, message)
        # Not every program closes what it used before its loop ends.
        for message in messages[2:]:
            asyncio.run(_deliver_only(driver, message))

        self.check(peer, messages)


def _anew(messages: Sequence[Message]) -> list[Message]:
    """Copy *messages*, with ids of their own: a peer may drop what it had before."""
    return [
        Message(message.name, message.channels, message.data, message.except_socket) for message in messages
    ]


def _expected(messages: Sequence[Message]) -> list[Received]:
    return [
        Received(message.name, channel, json.loads(message.data), message.except_socket)
        for message in messages
        for channel in message.channels
    ]


def _on(channel: str, messages: Sequence[Received]) -> list[Received]:
    return [received for received in messages if received.channel == channel]


def _counted(messages: Sequence[Received]) -> Counter[str]:
    return Counter(repr(received) for received in messages)


async def _deliver_only(driver: Driver, message: Message) -> None:
    await driver.adeliver(message)
