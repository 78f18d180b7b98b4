from __future__ import annotations

import enum
import gc
import json
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import attrs
import msgspec
import pytest
from blinker import Signal

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    Channel,
    ConfigurationError,
    DeliveryError,
    Event,
    InvalidChannelName,
    PresenceChannel,
    PrivateChannel,
    Settings,
    ShouldBeUnique,
    ShouldBroadcastNow,
    ShouldDispatchAfterCommit,
    ShouldQueue,
    ShouldRescue,
    UnencodableData,
    current_socket,
)
from broadcaster.dispatcher import Dispatcher
from broadcaster.drivers.base import Driver
from broadcaster.messages import Message
from broadcaster.plans import Plan
from broadcaster.queues.base import Capabilities, Queue
from broadcaster.queues.envelopes import Envelope
from broadcaster.signals import failed, queued, sending, sent
from tests.recording import RecordingDriver
from tests.test_transactions import Remembered


class Drivers:
    """Where the dispatcher finds its drivers; the first one is the default."""

    queue: Queue | None = None

    def __init__(self, **drivers: Driver) -> None:
        self.default = next(iter(drivers), "default")
        self._drivers = drivers

    def driver(self, name: str) -> Driver:
        if name not in self._drivers:
            raise ConfigurationError(f"no driver named {name!r}")
        return self._drivers[name]


def plan(event: Any, **how: Any) -> Plan:
    planned = Dispatcher(Drivers()).plan(event, **how)
    assert planned is not None
    return planned


def message(event: Any, **how: Any) -> Message:
    return plan(event, **how).message


class OrderShipped(Event):
    order_id: int = 7
    carrier: str = "post"

    def broadcast_on(self) -> PrivateChannel:
        return PrivateChannel(f"orders.{self.order_id}")


@dataclass
class Shouted:
    """An event that says whatever a test wants each hook to say."""

    on: Any = "lobby"
    name: Any = "shouted"
    data: Any = None
    when: Any = True
    via: Any = None

    def broadcast_on(self) -> Any:
        return self.on

    def broadcast_as(self) -> Any:
        return self.name

    def broadcast_with(self) -> Any:
        return self.data

    def broadcast_when(self) -> Any:
        return self.when

    def broadcast_via(self) -> Any:
        return self.via


class Names(enum.Enum):
    SHIPPED = "order.shipped"


class TextNames(enum.StrEnum):
    SHIPPED = "order.shipped"


def test_an_event_is_named_like_its_class() -> None:
    assert message(OrderShipped()).name == "OrderShipped"


@pytest.mark.parametrize("name", ["order.shipped", Names.SHIPPED, TextNames.SHIPPED])
def test_an_event_may_choose_its_name(name: object) -> None:
    given = message(Shouted(name=name)).name

    assert given == "order.shipped"
    assert type(given) is str


@pytest.mark.parametrize("name", [None, "", 7, b"x", ["x"]])
def test_what_is_no_name_is_refused_with_the_remedy(name: object) -> None:
    with pytest.raises(TypeError) as caught:
        message(Shouted(name=name))

    assert str(caught.value) == f"Shouted.broadcast_as() returned {name!r}; return a name"


def test_the_data_is_the_public_fields() -> None:
    assert message(OrderShipped()).data == '{"order_id":7,"carrier":"post"}'


def test_the_data_may_be_chosen() -> None:
    assert message(Shouted(data={"a": 1})).data == '{"a":1}'


def test_no_chosen_data_means_the_fields() -> None:
    assert json.loads(message(Shouted(data=None)).data)["name"] == "shouted"


def test_an_empty_object_is_data_too() -> None:
    assert message(Shouted(data={})).data == "{}"


@attrs.define
class AttrsEvent:
    order_id: int = 7
    _cache: str = "private"

    def broadcast_on(self) -> str:
        return "lobby"


class StructEvent(msgspec.Struct):
    order_id: int = 7

    def broadcast_on(self) -> str:
        return "lobby"


class PlainEvent:
    def __init__(self) -> None:
        self.order_id = 7
        self._cache = "private"

    def broadcast_on(self) -> str:
        return "lobby"


@dataclass(frozen=True, slots=True)
class DataclassEvent:
    order_id: int = 7
    _cache: str = "private"

    def broadcast_on(self) -> str:
        return "lobby"


@pytest.mark.parametrize("event", [AttrsEvent(), StructEvent(), PlainEvent(), DataclassEvent()])
def test_any_kind_of_class_sends_its_public_fields(event: object) -> None:
    assert message(event).data == '{"order_id":7}'


def test_data_that_json_cannot_express_names_the_event_and_the_field() -> None:
    with pytest.raises(UnencodableData) as caught:
        message(Shouted(data={"lines": [{"price": object()}]}))

    assert caught.value.path == "Shouted.lines[0].price"


def test_an_event_that_is_not_to_be_sent_is_no_plan() -> None:
    assert Dispatcher(Drivers()).plan(Shouted(when=False, on="not legal", data=object())) is None


@pytest.mark.parametrize(
    ("on", "channels"),
    [
        ("lobby", ("lobby",)),
        (Channel("lobby"), ("lobby",)),
        (PresenceChannel("room"), ("presence-room",)),
        (["lobby", PrivateChannel("a")], ("lobby", "private-a")),
        (("b", "a"), ("b", "a")),
        ((name for name in ("b", "a", "c")), ("b", "a", "c")),
        (["b", Channel("a"), "a", Channel("b"), "c"], ("b", "a", "c")),
        (["private-a", PrivateChannel("a")], ("private-a",)),
    ],
)
def test_an_event_goes_to_one_channel_or_several_each_named_once(
    on: object, channels: tuple[str, ...]
) -> None:
    assert message(Shouted(on=on)).channels == channels


@pytest.mark.parametrize("on", [None, [], (), iter([])])
def test_an_event_without_channels_goes_nowhere(on: object) -> None:
    assert Dispatcher(Drivers()).plan(Shouted(on=on)) is None


@pytest.mark.parametrize("on", ["", "a b", ["ok", "a b"], "a\n"])
def test_an_illegal_channel_is_refused(on: object) -> None:
    with pytest.raises(InvalidChannelName):
        message(Shouted(on=on))


@pytest.mark.parametrize(
    ("on", "shown"),
    [
        (7, "7"),
        ([7], "7"),
        (["a", None], "None"),
        (b"lobby", "108"),
        (True, "True"),
        ({"log": ["private-a"]}, "{'log': ['private-a']}"),
    ],
)
def test_what_is_no_channel_is_refused_with_the_remedy(on: object, shown: str) -> None:
    with pytest.raises(TypeError) as caught:
        message(Shouted(on=on))

    assert str(caught.value) == f"Shouted.broadcast_on() returned {shown}; return channels or their names"


def test_the_default_driver_carries_what_does_not_say_otherwise() -> None:
    dispatcher = Dispatcher(Drivers(eu=RecordingDriver()))

    planned = dispatcher.plan(OrderShipped())

    assert planned is not None
    assert planned.drivers == ("eu",)


@pytest.mark.parametrize(
    ("via", "drivers"),
    [
        ("us", ("us",)),
        (Names.SHIPPED, ("order.shipped",)),
        (["us", "eu"], ("us", "eu")),
        (("us", "eu", "us"), ("us", "eu")),
        (iter(["us", TextNames.SHIPPED]), ("us", "order.shipped")),
        ([], ("default",)),
    ],
)
def test_an_event_or_its_caller_names_the_drivers(via: Any, drivers: tuple[str, ...]) -> None:
    by_caller = list(via) if isinstance(via, Iterator) else via

    assert plan(OrderShipped(), via=by_caller).drivers == drivers
    assert plan(Shouted(via=by_caller)).drivers == drivers


def test_the_caller_goes_before_the_event() -> None:
    assert plan(Shouted(via="us"), via="eu").drivers == ("eu",)


def test_names_given_once_hold_for_a_whole_batch() -> None:
    dispatcher = Dispatcher(Drivers())

    plans = dispatcher.plans([OrderShipped(), OrderShipped()], via=(name for name in ("us", "eu")))

    assert [planned.drivers for planned in plans] == [("us", "eu"), ("us", "eu")]


def test_others_are_all_but_the_socket_of_the_request() -> None:
    with current_socket("12.34"):
        assert message(OrderShipped(), to_others=True).except_socket == "12.34"
        assert message(OrderShipped()).except_socket is None


def test_outside_of_a_request_others_are_all() -> None:
    assert message(OrderShipped(), to_others=True).except_socket is None


def test_a_malformed_socket_id_leaves_nobody_out() -> None:
    with current_socket("12.34\r\nX-Evil: 1"):
        assert message(OrderShipped(), to_others=True).except_socket is None


class CountingMeta(type):
    """Counts how often hooks are looked for on the class."""

    looked_up: ClassVar[list[str]] = []

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("broadcast_"):
            CountingMeta.looked_up.append(name)
        return super().__getattribute__(name)


def test_hooks_are_looked_up_once_for_each_class() -> None:
    class Counted(metaclass=CountingMeta):
        def broadcast_on(self) -> str:
            return "lobby"

    for _ in range(3):
        message(Counted())

    assert sorted(CountingMeta.looked_up) == [
        *("broadcast_as", "broadcast_on", "broadcast_via", "broadcast_when", "broadcast_with")
    ]


def test_a_class_made_for_the_moment_is_forgotten() -> None:
    class Momentary:
        def broadcast_on(self) -> str:
            return "lobby"

    message(Momentary())
    gone = weakref.ref(Momentary)
    del Momentary
    gc.collect()

    assert gone() is None


class Static:
    @staticmethod
    def broadcast_on() -> str:
        return "lobby"

    @classmethod
    def broadcast_as(cls) -> str:
        return f"{cls.__name__}.happened"


def test_a_hook_may_be_a_static_or_a_class_method() -> None:
    assert message(Static()).channels == ("lobby",)
    assert message(Static()).name == "Static.happened"


def test_a_hook_may_be_inherited() -> None:
    class Special(OrderShipped):
        pass

    assert message(Special()).channels == ("private-orders.7",)
    assert message(Special()).name == "Special"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (object(), r"object is not broadcastable; give it a broadcast_on\(\) method"),
        (None, r"NoneType is not broadcastable; give it a broadcast_on\(\) method"),
        ("lobby", r"str is not broadcastable; give it a broadcast_on\(\) method"),
        ({"broadcast_on": "lobby"}, r"dict is not broadcastable; give it a broadcast_on\(\) method"),
        (OrderShipped, "an event is an object, not a class; send an instance of the class"),
        (PlainEvent, "an event is an object, not a class; send an instance of the class"),
        (Event(), r"Event does not say where it goes; give it a broadcast_on\(\) method"),
    ],
)
def test_what_is_no_event_is_refused_with_the_remedy(what: object, said: str) -> None:
    with pytest.raises(TypeError, match=said) as caught:
        message(what)

    assert caught.value.__context__ is None


async def later(self: object) -> bool:
    return False


@pytest.mark.parametrize("hook", ["on", "as", "with", "when", "via"])
@pytest.mark.parametrize("found", ["a value", {"a": 1}, property(lambda self: "x"), later])
def test_a_hook_that_is_a_value_or_async_is_refused(hook: str, found: object) -> None:
    name = f"broadcast_{hook}"
    cls = type("Odd", (), {"broadcast_on": lambda self: "lobby", name: found})

    with pytest.raises(TypeError) as caught:
        message(cls())

    assert str(caught.value) == f"Odd.{name} must be a plain method: neither a value nor async"


def test_an_id_that_is_to_be_waited_for_is_refused() -> None:
    class Odd(AnonymousEvent, ShouldQueue, ShouldBeUnique):
        unique_id = later  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"Odd\.unique_id must be a plain method"):
        message(Odd("a", on="lobby"))


def test_events_of_a_batch_keep_their_order_and_those_that_go_nowhere_are_left_out() -> None:
    events = [Shouted(name="a"), Shouted(name="b", when=False), Shouted(name="c", on=None), Shouted(name="d")]

    plans = Dispatcher(Drivers()).plans(events)

    assert [planned.message.name for planned in plans] == ["a", "d"]


# Carrying out: every test runs in both worlds.


def blocking(drivers: Drivers, events: Iterable[Any], **how: Any) -> None:
    dispatcher = Dispatcher(drivers)
    dispatcher.carry(dispatcher.plans(events, **how))


async def in_a_loop(drivers: Drivers, events: Iterable[Any], **how: Any) -> None:
    dispatcher = Dispatcher(drivers)
    await dispatcher.acarry(dispatcher.plans(events, **how))


@pytest.fixture(params=["blocking", "in a loop"])
def carry(request: pytest.FixtureRequest) -> Callable[..., None]:
    import asyncio

    if request.param == "blocking":
        return blocking
    return lambda *args, **how: asyncio.run(in_a_loop(*args, **how))


def names(driver: RecordingDriver) -> list[str]:
    return [delivered.name for delivered in driver.delivered]


def test_one_event_is_delivered_by_its_driver(carry: Callable[..., None]) -> None:
    eu, us = RecordingDriver(), RecordingDriver()

    carry(Drivers(eu=eu, us=us), [OrderShipped()])

    assert names(eu) == ["OrderShipped"]
    assert names(us) == []


def test_several_drivers_get_the_same_message(carry: Callable[..., None]) -> None:
    eu, us = RecordingDriver(), RecordingDriver()

    carry(Drivers(eu=eu, us=us), [OrderShipped()], via=["eu", "us"])

    assert eu.delivered == us.delivered
    assert len(eu.delivered) == 1


def test_each_driver_gets_its_events_as_one_batch_in_order(carry: Callable[..., None]) -> None:
    eu, us = RecordingDriver(), RecordingDriver()
    events = [
        Shouted(name="a"),
        Shouted(name="b", via="us"),
        Shouted(name="c", via=["us", "eu"]),
        Shouted(name="d"),
    ]

    carry(Drivers(eu=eu, us=us), events)

    assert (names(eu), eu.batches) == (["a", "c", "d"], [3])
    assert (names(us), us.batches) == (["b", "c"], [2])


def test_none_is_sent_when_one_cannot_be_encoded(carry: Callable[..., None]) -> None:
    driver = RecordingDriver()

    with pytest.raises(UnencodableData):
        carry(Drivers(eu=driver), [OrderShipped(), Shouted(data=object())])

    assert driver.delivered == []


def test_none_is_sent_when_a_driver_is_unknown(carry: Callable[..., None]) -> None:
    driver = RecordingDriver()

    with pytest.raises(ConfigurationError, match="no driver named 'moon'"):
        carry(Drivers(eu=driver), [OrderShipped()], via=["eu", "moon"])

    assert driver.delivered == []


@pytest.mark.parametrize("via", [["bad", "good"], ["good", "bad"]])
def test_a_driver_that_fails_does_not_keep_another_from_delivering(
    carry: Callable[..., None], via: list[str]
) -> None:
    good, bad = RecordingDriver(), RecordingDriver(refuses="it is closed")

    with pytest.raises(DeliveryError, match="it is closed"):
        carry(Drivers(good=good, bad=bad), [OrderShipped()], via=via)

    assert names(good) == ["OrderShipped"]


def test_the_first_failure_is_raised_with_the_others_as_notes(carry: Callable[..., None]) -> None:
    drivers = Drivers(a=RecordingDriver(refuses="one"), b=RecordingDriver(refuses="two"))

    with pytest.raises(DeliveryError, match="one") as caught:
        carry(drivers, [OrderShipped()], via=["a", "b"])

    assert caught.value.__notes__ == ["also: driver 'recording': two"]


class Rescued(OrderShipped, ShouldRescue):
    pass


def test_the_failure_of_a_rescued_event_is_logged_and_no_more(
    carry: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    carry(Drivers(bad=RecordingDriver(refuses="it is closed")), [Rescued()])

    assert caplog.record_tuples == [
        (
            "broadcaster",
            logging.ERROR,
            "'Rescued' was not broadcast by driver 'bad': driver 'recording': it is closed",
        )
    ]


def test_rescue_is_for_one_event_and_not_for_its_batch(
    carry: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DeliveryError):
        carry(Drivers(bad=RecordingDriver(refuses="it is closed")), [Rescued(), OrderShipped()])

    assert [record.message.split()[0] for record in caplog.records] == ["'Rescued'"]


def test_what_is_not_a_failed_delivery_is_not_rescued(carry: Callable[..., None]) -> None:
    class Unsendable(ShouldRescue):
        def broadcast_on(self) -> str:
            return "not legal"

    with pytest.raises(InvalidChannelName):
        carry(Drivers(eu=RecordingDriver()), [Unsendable()])


@contextmanager
def heard(*signals: Signal) -> Iterator[list[tuple[str, Any, Mapping[str, Any]]]]:
    """Collect what *signals* say, each with its name and sender."""
    known = {sending: "sending", sent: "sent", failed: "failed"}
    said: list[tuple[str, Any, Mapping[str, Any]]] = []
    receivers = []
    for signal in signals:

        def receive(sender: Any, name: str = known[signal], **facts: Any) -> None:
            said.append((name, sender, facts))

        receivers.append(receive)
        signal.connect(receive)
    try:
        yield said
    finally:
        for signal, receiver in zip(signals, receivers, strict=True):
            signal.disconnect(receiver)


def test_signals_tell_before_and_after_each_message(carry: Callable[..., None]) -> None:
    drivers = Drivers(eu=RecordingDriver())
    events = [OrderShipped(), Shouted()]

    with heard(sending, sent, failed) as said:
        carry(drivers, events)

    assert [name for name, _, _ in said] == ["sending", "sending", "sent", "sent"]
    assert all(sender is drivers for _, sender, _ in said)
    assert [facts["event"] for _, _, facts in said] == events * 2
    assert [facts["message"].name for _, _, facts in said[:2]] == ["OrderShipped", "shouted"]
    assert {facts["driver"] for _, _, facts in said} == {"eu"}


def test_a_signal_tells_of_a_failure_and_its_error(carry: Callable[..., None]) -> None:
    with heard(sending, sent, failed) as said, pytest.raises(DeliveryError) as caught:
        carry(Drivers(bad=RecordingDriver(refuses="it is closed")), [OrderShipped()])

    assert [name for name, _, _ in said] == ["sending", "failed"]
    assert said[1][2]["error"] is caught.value
    assert said[1][2]["driver"] == "bad"


def test_a_rescued_failure_is_signalled_too(carry: Callable[..., None]) -> None:
    with heard(failed) as said:
        carry(Drivers(bad=RecordingDriver(refuses="it is closed")), [Rescued()])

    assert [name for name, _, _ in said] == ["failed"]


def test_a_receiver_that_raises_before_a_message_stops_it(carry: Callable[..., None]) -> None:
    driver = RecordingDriver()

    def veto(sender: object, **facts: object) -> None:
        raise PermissionError("not during the freeze")

    with sending.connected_to(veto), pytest.raises(PermissionError):
        carry(Drivers(eu=driver), [OrderShipped()])

    assert driver.delivered == []


def test_a_receiver_may_listen_to_one_manager_only() -> None:
    with BroadcastManager(Settings("null")) as ours, BroadcastManager(Settings("null")) as theirs:
        said: list[object] = []

        with sent.connected_to(lambda sender, **facts: said.append(sender), sender=ours):
            theirs.send(OrderShipped())
            ours.send(AnonymousEvent("ping", on="lobby"))

    assert said == [ours]


# Waiting for a commit


class Committed(Shouted, ShouldDispatchAfterCommit):
    pass


def late(drivers: Drivers, events: Iterable[Any]) -> Remembered:
    """Defer *events* in an open transaction; the rest is carried at once."""
    transaction, dispatcher = Remembered(), Dispatcher(drivers)
    dispatcher.transactions.follow(lambda: transaction)
    dispatcher.carry(dispatcher.defer(dispatcher.plans(events)))
    return transaction


@pytest.fixture(params=["blocking", "in a loop"])
def commit(request: pytest.FixtureRequest) -> Callable[[Remembered], None]:
    import asyncio

    async def in_a_loop(transaction: Remembered) -> None:
        for _, acarry in transaction.waiting:
            await acarry()

    def blocking(transaction: Remembered) -> None:
        for carry, _ in transaction.waiting:
            carry()

    return blocking if request.param == "blocking" else lambda waiting: asyncio.run(in_a_loop(waiting))


def test_only_a_marked_event_waits_for_a_commit() -> None:
    assert plan(Committed()).after_commit
    assert not plan(Shouted()).after_commit


def test_without_an_open_transaction_nothing_waits() -> None:
    dispatcher = Dispatcher(Drivers())
    plans = dispatcher.plans([Committed(), Shouted()])

    assert dispatcher.defer(plans) is plans


def test_in_a_transaction_marked_events_wait_as_one_batch_in_order(
    commit: Callable[[Remembered], None],
) -> None:
    driver = RecordingDriver()

    transaction = late(
        Drivers(eu=driver), [Committed(name="a"), Shouted(name="b"), Committed(name="c"), Shouted(name="d")]
    )
    before = names(driver)
    commit(transaction)

    assert before == ["b", "d"]
    assert names(driver) == ["b", "d", "a", "c"]
    assert driver.batches == [2, 2]


def test_a_finder_is_not_asked_when_no_event_waits() -> None:
    dispatcher = Dispatcher(Drivers())
    asked: list[str] = []
    dispatcher.transactions.follow(lambda: asked.append("asked"))

    dispatcher.defer(dispatcher.plans([Shouted()]))

    assert asked == []


def test_the_message_is_that_of_the_time_of_sending(commit: Callable[[Remembered], None]) -> None:
    driver = RecordingDriver()
    event = Committed(data={"a": 1})

    transaction = late(Drivers(eu=driver), [event])
    event.data = {"a": 2}
    commit(transaction)

    assert [delivered.data for delivered in driver.delivered] == ['{"a":1}']


def test_a_failure_after_the_commit_is_logged_and_signalled_but_not_raised(
    commit: Callable[[Remembered], None], caplog: pytest.LogCaptureFixture
) -> None:
    transaction = late(Drivers(bad=RecordingDriver(refuses="it is closed")), [Committed()])

    with heard(failed) as said:
        commit(transaction)

    assert [name for name, _, _ in said] == ["failed"]
    assert caplog.record_tuples == [
        (
            "broadcaster",
            logging.ERROR,
            "'shouted' was not broadcast by driver 'bad': driver 'recording': it is closed",
        )
    ]


def test_any_other_error_after_the_commit_is_logged_with_its_cause(
    commit: Callable[[Remembered], None], caplog: pytest.LogCaptureFixture
) -> None:
    transaction = late(Drivers(eu=RecordingDriver()), [Committed(via="moon")])

    commit(transaction)

    assert [record.message for record in caplog.records] == [
        "['shouted'] could not all be broadcast after the commit"
    ]
    assert "no driver named 'moon'" in caplog.text


# What waits in a queue


class Shelf:
    """A queue that keeps what it takes, or refuses it."""

    name = "shelf"
    capabilities = Capabilities(durable=False)

    def __init__(self, *, full: bool = False) -> None:
        self.taken: list[Envelope] = []
        self._full = full

    def push(self, envelopes: Sequence[Envelope]) -> None:
        if self._full:
            raise DeliveryError("it is full", driver="queue shelf", retryable=True)
        self.taken += envelopes

    async def apush(self, envelopes: Sequence[Envelope]) -> None:
        self.push(envelopes)

    def release(self, envelope: Envelope) -> None:
        """Have no locks."""

    def close(self) -> None:
        """Have nothing open."""

    async def aclose(self) -> None:
        """Have nothing open."""


class Mailed(AnonymousEvent, ShouldQueue):
    queue = "mail"


class MailedOnce(Mailed, ShouldBeUnique):
    def unique_id(self) -> str:
        return "7"


class MailedNow(Mailed, ShouldBroadcastNow):
    pass


class MailedMaybe(Mailed, ShouldRescue):
    pass


def shelved(*, full: bool = False) -> tuple[Dispatcher, Shelf, RecordingDriver]:
    """Return a dispatcher with a queue and a driver."""
    driver = RecordingDriver()
    drivers = Drivers(eu=driver)
    drivers.queue = shelf = Shelf(full=full)
    return Dispatcher(drivers), shelf, driver


def send(dispatcher: Dispatcher, *events: Any, **how: Any) -> None:
    dispatcher.carry(dispatcher.defer(dispatcher.plans(events, **how)))


def test_what_says_so_is_queued_and_the_rest_is_delivered() -> None:
    dispatcher, shelf, driver = shelved()

    send(dispatcher, Mailed("a", on="x"), AnonymousEvent("b", on="x"), MailedNow("c", on="x"))

    assert [(each.message.name, each.driver, each.queue) for each in shelf.taken] == [("a", "eu", "mail")]
    assert [message.name for message in driver.delivered] == ["b", "c"]


async def test_coroutines_queue_as_well() -> None:
    dispatcher, shelf, driver = shelved()

    await dispatcher.acarry(dispatcher.plans([Mailed("a", on="x")]))

    assert [each.message.name for each in shelf.taken] == ["a"]
    assert driver.delivered == []


def test_each_driver_has_an_envelope_of_its_own_with_the_same_message() -> None:
    dispatcher, shelf, _ = shelved()

    send(dispatcher, MailedOnce("a", on="x"), via=["eu", "us"])

    assert [each.driver for each in shelf.taken] == ["eu", "us"]
    assert len({each.message.id for each in shelf.taken}) == 1
    assert [each.unique for each in shelf.taken] == [
        f"{__name__}:MailedOnce:eu:7",
        f"{__name__}:MailedOnce:us:7",
    ]


def test_the_sender_stays_left_out_in_the_queue() -> None:
    dispatcher, shelf, _ = shelved()

    with current_socket("1.2"):
        send(dispatcher, Mailed("a", on="x"), to_others=True)

    assert shelf.taken[0].message.except_socket == "1.2"


def test_a_queue_that_takes_nothing_is_told_to_the_caller_unless_the_event_is_rescued(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dispatcher, _, driver = shelved(full=True)

    with pytest.raises(DeliveryError, match=r"queue shelf.*it is full"):
        send(dispatcher, Mailed("a", on="x"), AnonymousEvent("b", on="x"))
    send(dispatcher, MailedMaybe("c", on="x"))

    assert [message.name for message in driver.delivered] == ["b"]
    assert "'c' was not broadcast by driver 'shelf'" in caplog.text


def test_a_signal_tells_what_was_queued() -> None:
    dispatcher, _, _ = shelved()
    told: list[tuple[str, str]] = []

    def receive(_: object, *, message: Message, queue: str, **_more: object) -> None:
        told.append((message.name, queue))

    with queued.connected_to(receive):
        send(dispatcher, Mailed("a", on="x"), AnonymousEvent("b", on="x"))

    assert told == [("a", "shelf")]


def test_what_waits_for_a_commit_is_queued_after_it() -> None:
    class Later(Mailed, ShouldDispatchAfterCommit):
        pass

    dispatcher, shelf, _ = shelved()
    transaction = Remembered()
    dispatcher.transactions.follow(lambda: transaction)

    send(dispatcher, Later("a", on="x"))
    before = list(shelf.taken)
    for carry, _ in transaction.waiting:
        carry()

    assert before == []
    assert [(each.message.name, each.rescue) for each in shelf.taken] == [("a", False)]


def test_nothing_is_queued_beside_an_event_whose_driver_is_unknown() -> None:
    dispatcher, shelf, _ = shelved()

    with pytest.raises(ConfigurationError, match="no driver named 'moon'"):
        send(dispatcher, Mailed("a", on="x"), Shouted(via="moon"))

    assert shelf.taken == []


def test_without_a_queue_the_caller_delivers_what_could_wait() -> None:
    driver = RecordingDriver()

    send(Dispatcher(Drivers(eu=driver)), Mailed("a", on="x"))

    assert [message.name for message in driver.delivered] == ["a"]
