"""What is said to Redis, and who takes the answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from broadcaster.cluster._ledger import Command
from broadcaster.cluster._redis_link import Link, Moving, Refusal

__all__ = ["Ask", "Question", "Questions", "nothing", "say"]

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Ask:
    """A command, and what takes its answer.

    Where there is a *moved*, that is called instead when what the command is about is on the move.
    """

    command: Command
    take: Callable[[Any], None]
    moved: Callable[[], None] | None = None


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


class Questions:
    """Questions to be asked, in order; *more* is called for each, and none waits longer than *seconds*."""

    def __init__(self, *, more: Callable[[], None], seconds: float) -> None:
        self._more = more
        self._seconds = seconds
        self._unasked: deque[Question] = deque()

    def __bool__(self) -> bool:
        return bool(self._unasked)

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to *commands*; raise `OSError` where there are none, or too many wait."""
        if len(self._unasked) >= _MOST:
            raise ConnectionError("too many wait for Redis")
        question = Question(commands, asyncio.get_running_loop().create_future())
        self._unasked.append(question)
        self._more()
        async with asyncio.timeout(self._seconds):
            return await question.future

    def take(self) -> list[Ask]:
        """Return what is to be said for the next one."""
        question = self._unasked.popleft()
        return [Ask(command, question.take) for command in question.commands]

    def fail(self) -> None:
        """Say to everybody that there is no answer."""
        while self._unasked:
            self._unasked.popleft().fail(ConnectionError("Redis is away"))


async def say(link: Link, asks: Sequence[Ask]) -> None:
    """Say it all, and hand on the answers; raise `OSError` where there is none, or it is a refusal."""
    await link.send(*(ask.command for ask in asks))
    for ask in asks:
        answer = await link.read()
        if isinstance(answer, Moving) and ask.moved is not None:
            ask.moved()
        elif isinstance(answer, Refusal):
            raise ConnectionError(f"it refuses {ask.command[0]!r}: {answer}")
        else:
            ask.take(answer)


def nothing(answer: Any) -> None:
    """Take what says nothing."""
