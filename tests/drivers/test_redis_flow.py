"""When a message may be sent to Redis again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from broadcaster import DeliveryError
from broadcaster.drivers._redis_flow import Failure, Flow, Publication, Steps, Undelivered, deliveries
from broadcaster.drivers.requests import Pause

UNSENT = Failure("no connection")
LOST = Failure("no answer", taken=True)
REFUSED = Failure("not permitted", retryable=False)


class Scripted:
    """Servers whose failures are known beforehand, by attempt and by channel."""

    def __init__(self, *attempts: dict[bytes, Failure]) -> None:
        self._attempts = list(attempts)
        self.published: list[list[bytes]] = []

    def publish(self, publications: list[Publication]) -> Steps[Undelivered]:
        yield {}
        self.published.append([channel for channel, _ in publications])
        failures = self._attempts.pop(0) if self._attempts else {}
        return [(one, failures[one[0]]) for one in publications if one[0] in failures]


def deliver(
    channels: Sequence[bytes], servers: Scripted, *, retries: int = 2, repeatable: bool = False
) -> list[float]:
    """Carry a delivery out; return the pauses."""
    publications = [(channel, b"{}") for channel in channels]
    flow: Flow = deliveries(publications, servers, driver="redis", retries=retries, repeatable=repeatable)
    pauses: list[float] = []
    for step in flow:
        pauses += [step.seconds] if isinstance(step, Pause) else []
    return pauses


def test_only_what_was_not_published_is_published_again() -> None:
    servers = Scripted({b"b": UNSENT, b"d": UNSENT}, {b"d": UNSENT})

    pauses = deliver([b"a", b"b", b"c", b"d"], servers)

    assert servers.published == [[b"a", b"b", b"c", b"d"], [b"b", b"d"], [b"d"]]
    assert len(pauses) == 2


def test_pauses_grow_and_end() -> None:
    longest = [0.0] * 9

    for _ in range(300):
        pauses = deliver([b"a"], Scripted(*[{b"a": UNSENT}] * 9), retries=9)
        longest = [max(pair) for pair in zip(longest, pauses, strict=True)]

    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert all(bound * 0.8 < seconds <= bound for bound, seconds in zip(bounds, longest, strict=True))


@pytest.mark.parametrize(
    ("failure", "options", "attempts"),
    [
        (UNSENT, {}, 3),
        (UNSENT, {"retries": 0}, 1),
        (LOST, {}, 1),
        (LOST, {"repeatable": True}, 3),
        (REFUSED, {"repeatable": True}, 1),
    ],
)
def test_what_fails_is_tried_as_often_as_is_safe(
    failure: Failure, options: dict[str, Any], attempts: int
) -> None:
    servers = Scripted(*[{b"a": failure}] * 9)

    with pytest.raises(DeliveryError, match=failure.reason) as caught:
        deliver([b"a"], servers, **options)

    assert (caught.value.retryable, caught.value.driver) == (failure.retryable, "redis")
    assert servers.published == [[b"a"]] * attempts


def test_the_failure_that_ends_it_is_the_one_that_is_told() -> None:
    servers = Scripted({b"a": UNSENT, b"b": REFUSED, b"c": LOST})

    with pytest.raises(DeliveryError, match="not permitted"):
        deliver([b"a", b"b", b"c"], servers)


def test_a_batch_goes_in_parts_and_stops_after_one_that_fails() -> None:
    channels = [b"%d" % number for number in range(2_500)]
    servers = Scripted({}, {b"1500": LOST})

    with pytest.raises(DeliveryError):
        deliver(channels, servers)

    assert servers.published == [channels[:1_000], channels[1_000:2_000]]


def test_large_messages_go_in_smaller_parts() -> None:
    servers = Scripted()
    publications = [(b"%d" % number, b"x" * 1_500_000) for number in range(4)]

    for _ in deliveries(publications, servers, driver="redis", retries=0, repeatable=False):
        pass

    assert servers.published == [[b"0", b"1", b"2"], [b"3"]]


def test_nothing_to_send_asks_nobody() -> None:
    servers = Scripted()

    deliver([], servers)

    assert servers.published == []
