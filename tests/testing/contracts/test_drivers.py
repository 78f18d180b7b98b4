"""The contract of drivers, kept by one that is as small as can be, and broken by some that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from broadcaster import Message
from broadcaster.testing.contracts.drivers import DriverContract, Verb
from broadcaster.testing.contracts.drivers.verbs import AsyncVerb, BlockingVerb
from tests.drivers.shelf import Shelf
from tests.recording import RecordingDriver


class TestRecordingDriver(DriverContract):
    @pytest.fixture
    def peer(self) -> Shelf[RecordingDriver]:
        return Shelf(lambda members: members["first"], member="first")


@pytest.fixture(params=[BlockingVerb, AsyncVerb])
def verb(request: pytest.FixtureRequest) -> Iterator[Verb]:
    verb: Verb = request.param()
    yield verb
    verb.end()


Messages = Sequence[Message]
CONTRACT = DriverContract()


@pytest.mark.parametrize(
    ("spoil", "test"),
    [
        (lambda batch: batch[1:], CONTRACT.test_a_message_arrives_whole),
        (lambda batch: [*batch, batch[0]], CONTRACT.test_a_message_arrives_whole),
        (lambda batch: [replace(m, data="{}") for m in batch], CONTRACT.test_a_message_arrives_whole),
        (lambda batch: [replace(m, name="pong") for m in batch], CONTRACT.test_a_message_arrives_whole),
        (
            lambda batch: [replace(m, channels=m.channels[:1]) for m in batch],
            CONTRACT.test_a_message_arrives_on_each_of_its_channels,
        ),
        (
            lambda batch: [replace(m, channels=m.channels[:100]) for m in batch],
            CONTRACT.test_a_message_on_very_many_channels_arrives,
        ),
        (
            lambda batch: [replace(m, except_socket=None) for m in batch],
            CONTRACT.test_the_socket_to_leave_out_is_told,
        ),
        (
            lambda batch: [replace(m, except_socket="12.34") for m in batch],
            CONTRACT.test_the_socket_to_leave_out_is_told,
        ),
        (lambda batch: batch[::-1], CONTRACT.test_a_batch_arrives_in_order),
        (lambda batch: batch[:10], CONTRACT.test_a_batch_arrives_in_order),
        (lambda batch: [m for m in batch if len(m.data) < 8_000], CONTRACT.test_large_data_arrives),
        (lambda batch: batch[1:], CONTRACT.test_many_may_be_in_flight),
        (lambda batch: [*batch, *batch], CONTRACT.test_threads_and_their_event_loops_share_a_driver),
    ],
)
def test_a_driver_that_spoils_messages_breaks_it(
    spoil: Callable[[Messages], Messages],
    test: Callable[[Shelf[RecordingDriver], RecordingDriver, Verb], None],
    verb: Verb,
) -> None:
    class Spoiling(RecordingDriver):
        def _take(self, messages: Messages) -> None:
            super()._take(spoil(messages))

    peer = Shelf(lambda members: members["first"], member="first", recorder=Spoiling)
    driver = peer.driver()

    with pytest.raises(AssertionError):
        test(peer, driver, verb)
