"""What was sent, instead of sending it: for tests of applications."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest.mock import patch

from broadcaster.channels import Channel
from broadcaster.dispatcher import Dispatcher
from broadcaster.events import Broadcastable
from broadcaster.manager import BroadcastManager
from broadcaster.messages import Message
from broadcaster.plans import Plan

__all__ = ["Outbox", "Sent", "capture"]

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Sent:
    """One event that was sent: as it was, as the message it became, and by which drivers."""

    event: Broadcastable
    message: Message
    drivers: tuple[str, ...]

    def __str__(self) -> str:
        to = ", ".join(self.message.channels)
        without = f" except to {self.message.except_socket}" if self.message.except_socket else ""
        return f"{self.message.name} on {to}{without} by {', '.join(self.drivers)}: {self.message.data}"


class Outbox(Sequence[Sent]):
    """What was sent, in order, from whatever thread."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sent)

    def __getitem__(self, index: Any) -> Any:
        return self._sent[index]

    def of(
        self,
        event: type[E] | str,
        *,
        where: Callable[[E], bool] | None = None,
        channel: Channel | str | None = None,
    ) -> list[Sent]:
        """Return what was sent of one class of events, or under one name.

        *where* is asked about each event; *channel* is a whole name, prefix included.
        """
        return [sent for sent in self._sent if _matches(sent, event, where, channel)]

    def assert_sent(
        self,
        event: type[E] | str,
        *,
        where: Callable[[E], bool] | None = None,
        channel: Channel | str | None = None,
        times: int | None = None,
    ) -> None:
        """Fail unless such an event was sent: at least once, or exactly *times* times."""
        found = len(self.of(event, where=where, channel=channel))
        if found == 0 if times is None else found != times:
            expected = "at least once" if times is None else _count(times)
            wanted = _described(event, where, channel)
            raise AssertionError(f"expected {wanted} {expected}, found {_count(found)}; {self._listing()}")

    def assert_not_sent(
        self,
        event: type[E] | str,
        *,
        where: Callable[[E], bool] | None = None,
        channel: Channel | str | None = None,
    ) -> None:
        """Fail if such an event was sent."""
        if found := self.of(event, where=where, channel=channel):
            wanted = _described(event, where, channel)
            raise AssertionError(f"expected no {wanted}, found {_count(len(found))}; {self._listing()}")

    def assert_nothing_sent(self) -> None:
        """Fail if anything was sent."""
        if self._sent:
            raise AssertionError(f"expected nothing to be sent; {self._listing()}")

    def clear(self) -> None:
        """Forget what was sent so far."""
        with self._lock:
            self._sent.clear()

    def record(self, plans: Sequence[Plan]) -> None:
        """Add what *plans* would have sent."""
        with self._lock:
            self._sent += [Sent(plan.event, plan.message, plan.drivers) for plan in plans]

    def _listing(self) -> str:
        if not self._sent:
            return "nothing was sent"
        return "sent was:\n" + "\n".join(f"  {number}. {sent}" for number, sent in enumerate(self._sent, 1))


@contextmanager
def capture(*managers: BroadcastManager) -> Iterator[Outbox]:
    """Keep what *managers* send inside the block, instead of delivering it.

    With no manager named, every manager of the process is meant, those that are yet to be made too.
    Events are encoded and checked as always; no driver is made or asked. One that waits for a commit is
    kept at the commit, and never after a rollback.
    """
    outbox = Outbox()

    def carry(*arguments: Any) -> None:
        outbox.record(arguments[-1])

    async def acarry(*arguments: Any) -> None:
        outbox.record(arguments[-1])

    targets: list[object] = [manager.dispatcher for manager in managers] or [Dispatcher]
    with ExitStack() as patches:
        for target in targets:
            patches.enter_context(patch.multiple(target, carry=carry, acarry=acarry))
        yield outbox


def _matches(
    sent: Sent, event: type[Any] | str, where: Callable[[Any], bool] | None, channel: Channel | str | None
) -> bool:
    right_kind = sent.message.name == event if isinstance(event, str) else isinstance(sent.event, event)
    return (
        right_kind
        and (channel is None or str(channel) in sent.message.channels)
        and (where is None or where(sent.event))
    )


def _described(event: type[Any] | str, where: object, channel: Channel | str | None) -> str:
    name = event if isinstance(event, str) else event.__name__
    on = f" on {channel}" if channel is not None else ""
    return name + on + (" where the condition holds" if where is not None else "")


def _count(times: int) -> str:
    return {0: "none", 1: "once", 2: "twice"}.get(times, f"{times} times")
