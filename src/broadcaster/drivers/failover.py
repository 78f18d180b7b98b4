"""The driver that tries others in order, until one takes the message."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broadcaster.drivers.base import Driver
from broadcaster.drivers.circuit import Circuit
from broadcaster.drivers.signers import Signer
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message

__all__ = ["FailoverDriver"]

_logger = logging.getLogger("broadcaster")

# Answers about the message, which say nothing against the peer that gave them.
_ABOUT_THE_MESSAGE = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    driver: Driver
    circuit: Circuit


class FailoverDriver(Driver):
    """Delivers through the first of *drivers* that can; whoever made them closes them.

    A driver that failed *failures* times in a row is passed over for *cooldown* seconds, then tried again
    with one message at a time until it works. Before a message is given up, those passed over are tried
    as well. A batch that failed half-way goes to the next driver whole, with the same message ids.
    """

    name = "failover"

    def __init__(self, drivers: Mapping[str, Driver], *, failures: int = 3, cooldown: float = 30.0) -> None:
        self._members = [
            _Member(name, driver, Circuit(failures=int(failures), cooldown=float(cooldown)))
            for name, driver in drivers.items()
        ]

    @property
    def signer(self) -> Signer | None:
        """That of the first driver that has one."""
        return next(filter(None, (member.driver.signer for member in self._members)), None)

    def deliver(self, message: Message) -> None:
        """Hand *message* to the first driver that takes it."""
        self._first(lambda driver: driver.deliver(message))

    async def adeliver(self, message: Message) -> None:
        """Hand *message* to the first driver that takes it."""
        await self._afirst(lambda driver: driver.adeliver(message))

    def deliver_many(self, messages: Sequence[Message]) -> None:
        """Hand *messages* to the first driver that takes all of them."""
        self._first(lambda driver: driver.deliver_many(messages))

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Hand *messages* to the first driver that takes all of them."""
        await self._afirst(lambda driver: driver.adeliver_many(messages))

    def _first(self, deliver: Callable[[Driver], Any]) -> None:
        failures: dict[str, DeliveryError] = {}
        for member in self._in_order():
            try:
                deliver(member.driver)
            except DeliveryError as error:
                failures[member.name] = error
                _note_failure(member, error)
            else:
                _note_success(member)
                return
        raise self._error(failures)

    async def _afirst(self, deliver: Callable[[Driver], Any]) -> None:
        failures: dict[str, DeliveryError] = {}
        for member in self._in_order():
            try:
                await deliver(member.driver)
            except DeliveryError as error:
                failures[member.name] = error
                _note_failure(member, error)
            else:
                _note_success(member)
                return
        raise self._error(failures)

    def _in_order(self) -> Iterator[_Member]:
        passed_over: list[_Member] = []
        for member in self._members:
            if member.circuit.lets_through(time.monotonic()):
                yield member
            else:
                passed_over.append(member)
        # Better a peer that failed a moment ago than a message lost without trying.
        yield from passed_over

    def _error(self, failures: Mapping[str, DeliveryError]) -> DeliveryError:
        told = "; ".join(f"{name}: {error}" for name, error in failures.items())
        return DeliveryError(
            f"none of {len(failures)} drivers took the message: {told}",
            driver=self.name,
            retryable=any(error.retryable for error in failures.values()),
            failures=failures,
        )


def _note_success(member: _Member) -> None:
    if member.circuit.succeeded():
        _logger.warning("driver %r delivers again", member.name)


def _note_failure(member: _Member, error: DeliveryError) -> None:
    if not _is_about_the_message(error) and member.circuit.failed(time.monotonic()):
        _logger.warning("driver %r is passed over for %g s: %s", member.name, member.circuit.cooldown, error)
    else:
        # What may pass is no more than worth knowing; what does not is a setting to mend.
        level = logging.INFO if error.retryable else logging.WARNING
        _logger.log(level, "driver %r failed, others are tried: %s", member.name, error)


def _is_about_the_message(error: DeliveryError) -> bool:
    if error.failures:
        return all(map(_is_about_the_message, error.failures.values()))
    return error.status in _ABOUT_THE_MESSAGE
