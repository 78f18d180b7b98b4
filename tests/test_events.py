from __future__ import annotations

import dataclasses
import enum
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from broadcaster import AnonymousEvent, Broadcastable, Event, PrivateChannel
from broadcaster.encoding import encode


class OrderShipped(Event):
    order_id: int
    carrier: str = "post"

    def broadcast_on(self) -> PrivateChannel:
        return PrivateChannel(f"orders.{self.order_id}")


def test_an_event_checks_its_fields() -> None:
    with pytest.raises(pydantic.ValidationError, match="order_id"):
        OrderShipped(order_id="seven")


def test_an_event_does_not_change_and_equals_another_with_the_same_fields() -> None:
    event = OrderShipped(order_id=7)

    with pytest.raises(pydantic.ValidationError, match="frozen"):
        event.order_id = 8  # type: ignore[misc]
    assert event == OrderShipped(order_id=7)
    assert hash(event) == hash(OrderShipped(order_id=7))


def test_an_event_goes_where_it_says() -> None:
    assert OrderShipped(order_id=7).broadcast_on() == PrivateChannel("orders.7")


def test_an_event_that_does_not_say_where_it_goes_is_told_what_it_lacks() -> None:
    class Aimless(Event):
        pass

    with pytest.raises(TypeError, match=r"Aimless .*; give it a broadcast_on\(\) method"):
        Aimless().broadcast_on()


def test_an_event_may_set_more_of_pydantics_configuration() -> None:
    class Camel(Event):
        model_config = pydantic.ConfigDict(
            alias_generator=pydantic.alias_generators.to_camel, serialize_by_alias=True, validate_by_name=True
        )

        order_id: int
        label: bytes

    event = Camel(order_id=7, label=b"\xff")

    assert encode(event) == '{"orderId":7,"label":"_w=="}'


def on(self: object) -> str:
    return "lobby"


@dataclasses.dataclass
class ADataclass:
    x: int = 1
    broadcast_on = on


@attrs.define
class AnAttrsClass:
    x: int = 1
    broadcast_on = on


class AStruct(msgspec.Struct):
    x: int = 1

    def broadcast_on(self) -> str:
        return "lobby"


class APlainClass:
    broadcast_on = on


@pytest.mark.parametrize(
    "event",
    [
        OrderShipped(order_id=7),
        ADataclass(),
        AnAttrsClass(),
        AStruct(),
        APlainClass(),
        AnonymousEvent("x", on="lobby"),
    ],
)
def test_any_class_with_the_one_method_is_broadcastable(event: object) -> None:
    assert isinstance(event, Broadcastable)


@pytest.mark.parametrize("other", [object(), {"broadcast_on": "lobby"}, "lobby", None])
def test_anything_else_is_not_broadcastable(other: object) -> None:
    assert not isinstance(other, Broadcastable)


def test_an_anonymous_event_says_what_it_was_told() -> None:
    data: dict[str, Any] = {"version": 3}

    event = AnonymousEvent("deploy.finished", on="lobby", data=data, via="log")

    assert event.broadcast_as() == "deploy.finished"
    assert event.broadcast_on() == "lobby"
    assert event.broadcast_with() is data
    assert event.broadcast_via() == "log"


def test_an_anonymous_event_without_data_has_an_empty_object() -> None:
    event = AnonymousEvent("ping", on="lobby")

    assert event.broadcast_with() == {}
    assert event.broadcast_via() is None


def test_an_anonymous_event_may_be_named_by_an_enum() -> None:
    class Names(enum.Enum):
        PING = "ping"

    assert AnonymousEvent(Names.PING, on=None).broadcast_as() is Names.PING
