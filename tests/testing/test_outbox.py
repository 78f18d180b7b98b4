import threading

import pytest

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    Channel,
    ConfigurationError,
    Event,
    UnencodableData,
    current_socket,
)
from broadcaster.testing import capture


class OrderShipped(Event):
    order_id: int

    def broadcast_on(self) -> Channel:
        return Channel(f"orders.{self.order_id}")


class Unrelated(Event):
    def broadcast_on(self) -> str:
        return "elsewhere"


@pytest.fixture
def broadcast() -> BroadcastManager:
    return BroadcastManager()


def test_what_is_sent_is_kept_in_order_with_the_message_it_became(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox, current_socket("12.34"):
        broadcast.send(OrderShipped(order_id=7), to_others=True)
        broadcast.send_many([Unrelated(), OrderShipped(order_id=8)])

    assert [sent.message.channels for sent in outbox] == [("orders.7",), ("elsewhere",), ("orders.8",)]
    assert outbox[0].message.except_socket == "12.34"
    assert outbox[0].event == OrderShipped(order_id=7)
    assert outbox[0].drivers == ("log",)


async def test_the_async_verbs_are_captured_too(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox:
        await broadcast.asend(OrderShipped(order_id=7))
        await broadcast.asend_many([OrderShipped(order_id=8)])

    outbox.assert_sent(OrderShipped, times=2)


def test_other_threads_are_captured_too(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox:
        thread = threading.Thread(target=broadcast.send, args=(OrderShipped(order_id=7),))
        thread.start()
        thread.join(5)

    outbox.assert_sent(OrderShipped)


def test_only_the_managers_that_were_named_are_captured(
    broadcast: BroadcastManager, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "broadcaster.log")
    with capture(broadcast) as outbox:
        BroadcastManager().send(OrderShipped(order_id=7))

    outbox.assert_nothing_sent()
    assert "orders.7" in caplog.text


def test_every_manager_is_captured_when_none_is_named(broadcast: BroadcastManager) -> None:
    with capture() as outbox:
        broadcast.send(OrderShipped(order_id=7))
        BroadcastManager.from_dict({"driver": "null"}).send(Unrelated())

    assert len(outbox) == 2


def test_after_the_block_events_are_delivered_again(
    broadcast: BroadcastManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "broadcaster.log")
    with capture(broadcast), pytest.raises(RuntimeError), capture():
        raise RuntimeError

    broadcast.send(OrderShipped(order_id=7))

    assert "orders.7" in caplog.text


def test_an_event_that_cannot_be_encoded_fails_under_capture_too(broadcast: BroadcastManager) -> None:
    with capture(broadcast), pytest.raises(UnencodableData):
        broadcast.send(AnonymousEvent("e", on="lobby", data={"x": object()}))


def test_a_capture_needs_no_driver() -> None:
    broadcast = BroadcastManager.from_dict({"driver": "local"})
    with capture(broadcast) as outbox:
        broadcast.send(OrderShipped(order_id=7))

    assert len(outbox) == 1
    with pytest.raises(ConfigurationError):
        broadcast.send(OrderShipped(order_id=7))


def test_assertions_look_at_class_name_channel_condition_and_count(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox:
        broadcast.send(OrderShipped(order_id=7))
        broadcast.send(AnonymousEvent("deploy.finished", on="lobby"))

    outbox.assert_sent(OrderShipped)
    outbox.assert_sent("deploy.finished", channel="lobby", times=1)
    outbox.assert_sent(
        OrderShipped, where=lambda event: event.order_id == 7, channel=Channel("orders.7"), times=1
    )
    outbox.assert_sent(OrderShipped, where=lambda event: event.order_id == 8, times=0)
    outbox.assert_not_sent(OrderShipped, channel="orders.8")
    outbox.assert_not_sent(Unrelated)


@pytest.mark.parametrize("times", [None, 2])
def test_a_failure_shows_what_was_sent(broadcast: BroadcastManager, times: int | None) -> None:
    with capture(broadcast) as outbox:
        broadcast.send(OrderShipped(order_id=7))

    with pytest.raises(AssertionError) as failed:
        outbox.assert_sent(OrderShipped, channel="orders.8", times=times)

    assert "expected OrderShipped on orders.8" in str(failed.value)
    assert '1. OrderShipped on orders.7 by log: {"order_id":7}' in str(failed.value)


def test_a_failure_says_when_nothing_was_sent(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox:
        pass

    with pytest.raises(AssertionError, match="nothing was sent"):
        outbox.assert_sent(OrderShipped)


def test_events_that_should_not_have_been_sent_are_shown(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox:
        broadcast.send(OrderShipped(order_id=7))

    with pytest.raises(AssertionError, match=r"expected no OrderShipped, found once; sent was:"):
        outbox.assert_not_sent(OrderShipped)
    with pytest.raises(AssertionError, match=r"expected nothing to be sent; sent was:"):
        outbox.assert_nothing_sent()


def test_an_outbox_may_be_cleared_between_steps(broadcast: BroadcastManager) -> None:
    with capture(broadcast) as outbox:
        broadcast.send(OrderShipped(order_id=7))
        outbox.clear()
        broadcast.send(OrderShipped(order_id=8))

    assert [sent.event for sent in outbox] == [OrderShipped(order_id=8)]
