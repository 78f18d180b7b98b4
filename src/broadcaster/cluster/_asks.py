"""What a roster says to Redis, and who takes the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from broadcaster.cluster._ledger import Command
from broadcaster.cluster._redis_link import Link, Refusal

__all__ = ["Ask", "Question", "nothing", "say"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A command, and what takes its answer."""

    command: Command
    take: Callable[[Any], None]


@dataclass(slots=True)
class Question:
    """Commands whose answers somebody waits for."""

    commands: Sequence[Command]
    future: asyncio.Future[list[Any]]
    answers: list[Any] = field(default_factory=list)

    def take(self, answer: Any) -> None:
        """Take the answer to the next of the commands."""
        self.answers.append(answer)
        if len(self.answers) == len(self.commands) and not self.future.done():
            self.future.set_result(self.answers)

    def fail(self, error: OSError) -> None:
        """Say that there is no answer."""
        if not self.future.done():
            self.future.set_exception(error)


async def say(link: Link, asks: Sequence[Ask]) -> None:
    """Say it all, and hand on the answers; raise `OSError` where there is none, or it is a refusal."""
    await link.send(*(ask.command for ask in asks))
    for ask in asks:
        answer = await link.read()
        if isinstance(answer, Refusal):
            raise ConnectionError(f"it refuses {ask.command[0]!r}: {answer}")
        ask.take(answer)


def nothing(answer: Any) -> None:
    """Take what says nothing."""
