"""Asking Redis as values, and when a message may be sent again; nothing here touches a socket."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from broadcaster.drivers.requests import Pause
from broadcaster.errors import DeliveryError

__all__ = [
    "Answers",
    "Failure",
    "Flow",
    "Node",
    "Publication",
    "Questions",
    "Role",
    "Servers",
    "Steps",
    "Undelivered",
    "deliveries",
]

# What one round trip carries at most, in commands and in bytes.
_MOST_COMMANDS = 1_000
_MOST_BYTES = 4_000_000
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 5.0

T = TypeVar("T")


class Role(StrEnum):
    """What a server is asked as; a master must say that it is one before it is told anything."""

    SERVER = "server"
    MASTER = "master"
    SENTINEL = "sentinel"


class Node(NamedTuple):
    """The address of one server."""

    host: str
    port: int
    role: Role = Role.SERVER

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command did not do what it should.

    *retryable* says whether it may do so later, *taken* that Redis may have acted on it all the same,
    *moved* that another node of the cluster is to be asked.
    """

    reason: str
    retryable: bool = True
    taken: bool = False
    moved: bool = False


Questions: TypeAlias = Mapping[Node, list[bytes]]
"""Commands for each of some servers: each server's go out and are answered together."""

Answers: TypeAlias = Mapping[Node, list[Any]]
"""The reply to each command, or its `Failure`."""

Steps: TypeAlias = Generator[Questions | Pause, Answers, T]

Publication: TypeAlias = tuple[bytes, bytes]
"""A Redis channel and what is published on it."""

Undelivered: TypeAlias = list[tuple[Publication, Failure]]
Flow: TypeAlias = Steps[None]


class Servers(Protocol):
    """Where publications go."""

    def publish(self, publications: list[Publication]) -> Steps[Undelivered]:
        """Try once to publish them, those of one channel in order; return those that did not arrive."""
        ...


def deliveries(
    publications: Iterable[Publication], servers: Servers, *, driver: str, retries: int, repeatable: bool
) -> Flow:
    """Publish, and again after a pause what surely was not published, up to *retries* times.

    *repeatable* says that what may have been published already may be published again. Pauses grow
    exponentially, with full jitter, from 0.1 seconds. Raises `DeliveryError`.
    """
    for batch in _bounded(publications):
        left = batch
        for attempt in range(retries + 1):
            undelivered = yield from servers.publish(left)
            if not undelivered:
                break
            left = [publication for publication, _ in undelivered]
            final = [f for _, f in undelivered if not f.retryable or (f.taken and not repeatable)]
            if final or attempt == retries:
                failure = (final or [failure for _, failure in undelivered])[0]
                raise DeliveryError(failure.reason, driver=driver, retryable=failure.retryable)
            yield Pause(_backoff(attempt))


def _bounded(publications: Iterable[Publication]) -> Iterator[list[Publication]]:
    batch: list[Publication] = []
    size = 0
    for publication in publications:
        batch.append(publication)
        size += len(publication[1])
        if len(batch) == _MOST_COMMANDS or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _backoff(attempt: int) -> float:
    # Full jitter: many senders that failed together must not come back together.
    return random.uniform(0, min(_MAX_PAUSE, _FIRST_PAUSE * 2**attempt))  # noqa: S311
