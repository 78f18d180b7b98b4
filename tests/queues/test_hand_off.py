from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from broadcaster import AnonymousEvent, Event, ShouldBeUnique, ShouldBroadcastNow, ShouldQueue
from broadcaster.messages import Message
from broadcaster.queues.hand_off import hand_off_of

MESSAGE = Message("a", ("b",), "{}")


class Plain(Event):
    def broadcast_on(self) -> str:
        return "lobby"


class Queued(Plain, ShouldQueue):
    pass


class Urgent(Queued, ShouldBroadcastNow):
    pass


class Particular(Plain, ShouldQueue, ShouldBeUnique):
    queue: ClassVar = "mail"
    tries: ClassVar = 2
    backoff: ClassVar = timedelta(minutes=1)
    delay: ClassVar = timedelta(seconds=10)
    ttl: ClassVar = 30
    unique_for: ClassVar = 60


@dataclass
class Reminder(ShouldQueue):
    delay_until: str


def test_only_events_that_say_so_are_queued() -> None:
    assert hand_off_of(Plain) is None
    assert hand_off_of(AnonymousEvent) is None
    assert hand_off_of(Urgent) is None


def test_without_a_word_an_event_is_tried_five_times() -> None:
    envelope = hand_off_of(Queued).envelope(MESSAGE, "pusher", now=100.0, unique_id=None)  # type: ignore[union-attr]

    assert (envelope.queue, envelope.tries, envelope.backoff) == ("default", 5, (1.0, 5.0, 30.0, 120.0))
    assert (envelope.due, envelope.expires, envelope.unique) == (100.0, None, None)
    assert envelope.event == f"{__name__}:Queued"


def test_an_event_says_how_it_is_queued() -> None:
    envelope = hand_off_of(Particular).envelope(MESSAGE, "pusher", now=100.0, unique_id="7")  # type: ignore[union-attr]

    assert (envelope.queue, envelope.tries, envelope.backoff) == ("mail", 2, (60.0,))
    assert (envelope.due, envelope.expires) == (110.0, 140.0)
    assert (envelope.unique, envelope.unique_for) == (f"{__name__}:Particular:pusher:7", 60.0)


def test_a_field_of_the_event_is_no_option() -> None:
    @dataclass
    class Delayed(ShouldQueue):
        tries: int  # type: ignore[misc]

    assert hand_off_of(Delayed).tries == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue", ""),
        ("queue", "a,b"),
        ("queue", None),
        ("queue", "mail "),
        ("tries", 0),
        ("tries", "3"),
        ("tries", 10**20),
        ("tries", True),
        ("backoff", -1),
        ("backoff", "soon"),
        ("backoff", [1, None]),
        ("delay", None),
        ("ttl", "1"),
        ("ttl", 0),
        ("ttl", timedelta(seconds=-1)),
    ],
)
def test_what_makes_no_sense_is_named(name: str, value: Any) -> None:
    cls = type("Wrong", (Queued,), {"__module__": __name__, name: value, "__annotations__": {name: ClassVar}})

    with pytest.raises(TypeError, match=rf"Wrong\.{name} is "):
        hand_off_of(cls)


def test_a_worker_waits_for_no_coroutine() -> None:
    class Told(Plain, ShouldQueue):
        @classmethod
        async def failed(cls, message: Message, error: Exception) -> None:
            pass

    with pytest.raises(TypeError, match=r"Told\.failed must be a plain method"):
        hand_off_of(Told)
