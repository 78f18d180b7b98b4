from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from broadcaster.drivers.base import Driver
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message
from broadcaster.queues.envelopes import Envelope, seal
from broadcaster.queues.failed import MemoryFailedStore
from broadcaster.queues.outcomes import Outcome, Verdict
from broadcaster.queues.runner import Runner
from broadcaster.signals import Signal, failed, gave_up, sending, sent
from tests.queues.contract import Drivers, Scripted, away, envelope


class Bench:
    """A runner, the drivers and the store that it uses, and the locks that it gave back."""

    def __init__(self, *errors: DeliveryError) -> None:
        self.drivers = Drivers()
        self.drivers.scripted = Scripted(*errors)
        self.store = MemoryFailedStore()
        self.released: list[Envelope] = []
        self.now = 1_000.0
        self.runner = Runner(self.drivers, self.store, release=self.released.append, clock=lambda: self.now)

    def run(self, *envelopes: Envelope) -> list[Outcome]:
        return self.runner.run_many((seal(each), 0) for each in envelopes)


@contextmanager
def recorded(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """Keep what receivers of *signal* get."""
    told: list[dict[str, Any]] = []

    def receive(_: object, **fields: Any) -> None:
        told.append(fields)

    with signal.connected_to(receive):
        yield told


def too_large() -> DeliveryError:
    return DeliveryError("too large", driver="scripted", status=413)


def test_what_is_for_one_driver_is_delivered_as_one_batch() -> None:
    bench = Bench()

    outcomes = bench.run(*(envelope(number) for number in range(3)))

    assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED] * 3
    assert bench.drivers.scripted.ids == ["message-0", "message-1", "message-2"]
    assert bench.drivers.scripted.batches == [3]


async def test_coroutines_get_the_same() -> None:
    bench = Bench(away())
    taken = envelope(tries=2)

    first = await bench.runner.arun(seal(taken))
    second = await bench.runner.arun(seal(taken))

    assert (first.verdict, second.verdict) == (Verdict.RETRY, Verdict.DELIVERED)


def test_what_may_succeed_later_comes_again_after_its_pause() -> None:
    bench = Bench(away())

    [outcome] = bench.run(envelope(tries=3, backoff=(10.0, 60.0), attempt=2))

    assert outcome.verdict is Verdict.RETRY
    assert outcome.again is not None
    assert (outcome.again.attempt, outcome.again.message.id) == (3, "message-1")
    assert 48.0 <= outcome.pause <= 72.0
    assert bench.released == []


def test_the_count_of_the_engine_goes_before_that_of_the_envelope() -> None:
    bench = Bench(away())

    assert bench.runner.run(seal(envelope(tries=3)), attempt=3).verdict is Verdict.FAILED


def test_one_bad_message_of_a_batch_fails_alone() -> None:
    bench = Bench(too_large(), away(), too_large())

    outcomes = bench.run(*(envelope(number, tries=2) for number in range(3)))

    assert [outcome.verdict for outcome in outcomes] == [Verdict.RETRY, Verdict.FAILED, Verdict.DELIVERED]
    assert [failed.reason for failed in bench.store.list()] == ["driver 'scripted': too large"]


class OneByOne(Scripted):
    """Takes one message at a time, and none of those that *refused* names, each for a reason."""

    def __init__(self, refused: Mapping[str, Exception]) -> None:
        super().__init__()
        self.refused = refused

    def deliver(self, message: Message) -> None:
        self.tried.append((0.0, message.id))
        if error := self.refused.get(message.id):
            raise error
        self.delivered.append(message)

    deliver_many = Driver.deliver_many


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(away(), Verdict.RETRY), (ValueError(), Verdict.RETRY), (too_large(), Verdict.FAILED)],
)
def test_one_that_fails_in_the_middle_of_a_batch_costs_the_others_nothing(
    error: Exception, verdict: Verdict
) -> None:
    bench = Bench()
    bench.drivers.scripted = driver = OneByOne({"message-2": error})

    outcomes = bench.run(*(envelope(number, tries=2) for number in range(5)))

    good = [Verdict.DELIVERED]
    assert [outcome.verdict for outcome in outcomes] == [*good * 2, verdict, *good * 2]
    assert [name for _, name in driver.tried] == [f"message-{number}" for number in range(5)]


def test_what_was_not_tried_is_not_given_up() -> None:
    bench = Bench()
    bench.drivers.scripted = driver = OneByOne({"message-0": away(), "message-5": away()})

    outcomes = bench.run(*(envelope(number, tries=1) for number in range(10)))

    assert [failed.reason for failed in bench.store.list()] == [str(away())] * 2
    assert len(driver.delivered) == 8
    assert [outcome.verdict for outcome in outcomes].count(Verdict.FAILED) == 2


def test_where_the_peer_seems_to_be_away_the_others_wait_and_keep_their_tries() -> None:
    bench = Bench()
    bench.drivers.scripted = driver = OneByOne({f"message-{number}": away() for number in range(10)})

    outcomes = bench.run(*(envelope(number, tries=3, attempt=2) for number in range(10)))

    attempts = [outcome.again.attempt for outcome in outcomes if outcome.again is not None]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.RETRY] * 10
    assert attempts == [3, 3, *[2] * 8]
    assert min(outcome.pause for outcome in outcomes[2:]) >= 0.8
    assert len(driver.tried) == 2


def test_what_a_driver_inside_handed_over_is_said_of_that_batch_only() -> None:
    class Inner(Scripted):
        def deliver(self, message: Message) -> None:
            if message.id in {"message-1", "fan-out-1"}:
                raise away()
            self.delivered.append(message)

        deliver_many = Driver.deliver_many

    class Both(Scripted):
        """Hands on the very batch that it gets, to two drivers."""

        def deliver_many(self, messages: Sequence[Message]) -> None:
            Inner().deliver_many(messages)
            raise AssertionError

    class Sorting(Scripted):
        """Hands on what it gets as another batch, in another order."""

        def deliver(self, message: Message) -> None:
            Inner().deliver_many([replace(message, id=f"fan-out-{number}") for number in range(3)])

        def deliver_many(self, messages: Sequence[Message]) -> None:
            Inner().deliver_many([*reversed(messages)])

    bench = Bench()
    bench.drivers.scripted = Sorting()

    alone = bench.run(envelope(1, tries=2))
    together = bench.run(*(envelope(number, tries=2) for number in (1, 2, 3)))

    bench.drivers.scripted = Both()
    to_both = bench.run(*(envelope(number, tries=2) for number in (0, 1)))

    assert [outcome.verdict for outcome in [*alone, *together, *to_both]] == [Verdict.RETRY] * 6


@pytest.mark.parametrize("what", ["a driver", "a receiver of `sending`"])
def test_where_something_broke_its_batch_is_delivered_one_by_one(what: str) -> None:
    bench = Bench()

    class Broken(Scripted):
        def deliver_many(self, messages: Sequence[Message]) -> None:
            if any(message.id == "message-1" for message in messages):
                raise KeyError("order")
            super().deliver_many(messages)

    def veto(_: object, *, message: Message, **_more: object) -> None:
        if message.id == "message-1":
            raise KeyError("order")

    if what == "a driver":
        bench.drivers.scripted = Broken()
    with sending.connected_to(veto) if what != "a driver" else nullcontext():
        outcomes = bench.run(*(envelope(number) for number in range(3)))

    assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED, Verdict.FAILED, Verdict.DELIVERED]
    assert bench.drivers.scripted.ids == ["message-0", "message-2"]


def test_what_receivers_raise_changes_nothing_of_what_has_happened(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(away(), too_large())
    told: list[str] = []

    def broken(_: object, *, message: Message, **_more: object) -> None:
        told.append(message.id)
        raise KeyError("order")

    with sent.connected_to(broken), failed.connected_to(broken), gave_up.connected_to(broken):
        outcomes = [
            *bench.run(envelope(1, tries=2)),
            *bench.run(envelope(2)),
            *bench.run(envelope(3), envelope(4)),
        ]

    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.RETRY,
        Verdict.FAILED,
        Verdict.DELIVERED,
        Verdict.DELIVERED,
    ]
    assert told == [f"message-{number}" for number in (1, 2, 2, 3, 4)]
    assert "a receiver of the signal 'sent'" in caplog.text


def test_a_lock_that_cannot_be_given_back_does_not_have_its_event_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away_as_well(_: Envelope) -> None:
        raise away()

    bench = Bench()
    runner = Runner(bench.drivers, bench.store, release=away_as_well)

    assert runner.run(seal(envelope(unique="a", unique_for=60.0))).verdict is Verdict.DELIVERED
    assert "the lock 'a' stays until its time is over" in caplog.text


def test_a_reason_can_be_kept_whatever_it_says() -> None:
    bench = Bench(*(DeliveryError("no file \udcff", driver="scripted") for _ in range(2)))

    [outcome] = bench.run(envelope())

    assert outcome.reason.encode() == b"driver 'scripted': no file \\udcff"


def test_what_is_done_with_gives_its_lock_back() -> None:
    bench = Bench(too_large())

    bench.run(envelope(1))
    bench.run(envelope(2))
    bench.run(envelope(3, expires=999.0))

    assert [each.message.id for each in bench.released] == ["message-1", "message-2", "message-3"]


def test_what_is_stale_is_dropped() -> None:
    bench = Bench()

    [outcome] = bench.run(envelope(expires=1_000.0))

    assert outcome.verdict is Verdict.EXPIRED
    assert bench.drivers.scripted.tried == []


def test_what_cannot_be_read_is_kept_as_it_is_and_never_comes_again() -> None:
    bench = Bench()

    outcomes = bench.runner.run_many([(b"\x80\x04 no envelope", 0), (seal(envelope()), 0)])

    assert [outcome.verdict for outcome in outcomes] == [Verdict.UNREADABLE, Verdict.DELIVERED]
    assert outcomes[0].again is None
    assert [kept.body for kept in bench.store.list()] == [b"\x80\x04 no envelope"]


def test_a_driver_that_breaks_is_tried_again() -> None:
    class Broken(Scripted):
        def deliver(self, message: Message) -> None:
            raise ZeroDivisionError("the secret data")

    bench = Bench()
    bench.drivers.scripted = Broken()

    [outcome] = bench.run(envelope(tries=2))

    assert outcome.verdict is Verdict.RETRY
    assert "secret" not in outcome.reason


def test_what_its_engine_gives_up_is_kept() -> None:
    bench = Bench()

    outcome = bench.runner.abandon(seal(envelope()), "it ended three workers")

    assert outcome.verdict is Verdict.FAILED
    assert [kept.reason for kept in bench.store.list()] == ["it ended three workers"]


def test_signals_tell_what_a_worker_does() -> None:
    bench = Bench(away(), away())
    with (
        recorded(sending) as before,
        recorded(failed) as failures,
        recorded(gave_up) as ends,
        recorded(sent) as after,
    ):
        bench.run(envelope(tries=2))
        bench.run(envelope(tries=2, attempt=2))
        bench.run(envelope())

    assert [len(signals) for signals in (before, failures, ends, after)] == [3, 2, 1, 1]


def test_the_class_of_an_event_hears_that_it_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []

    class Shipped:
        @classmethod
        def failed(cls, message: Message, error: Exception) -> None:
            told.append((message.id, str(error)))
            raise ZeroDivisionError

    module = ModuleType("shop_of_the_test")
    module.Shipped = Shipped  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop_of_the_test", module)
    bench = Bench(too_large(), too_large(), too_large())

    for event in ("shop_of_the_test:Shipped", "shop_of_the_test:Other", "json.tool:main"):
        bench.run(replace(envelope(), event=event))

    assert told == [("message-1", "driver 'scripted': too large")]
    assert "json.tool" not in sys.modules


def test_when_an_event_is_given_up_its_lock_is_free_before_anybody_hears_of_it() -> None:
    bench = Bench(too_large())
    free: list[int] = []

    def receive(_: object, **__: object) -> None:
        free.append(len(bench.released))

    with gave_up.connected_to(receive):
        bench.run(envelope())

    assert free == [1]
