"""Thousands of clients, and what is true of them together."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tests.soak.accounts import Record
from tests.soak.browser import Browser

__all__ = ["EVERYBODY", "KEPT", "ROOM", "Crowd"]

EVERYBODY = "everybody"
ROOM = "room-"
KEPT = "kept-"

_TOGETHER = 20
"""Clients on a channel that is not for everybody."""
_KEPT_EVERY = 5
_MEMBER_EVERY = 13
_MEMBERS, _USERS = 15, 10
"""Clients on a presence channel, and the users that they are: some have two tabs."""
_VISITORS = 6
"""Clients on a presence channel besides, who come and go."""


class Crowd:
    """*size* clients on the nodes at *ports*, each on the channel of everybody and on that of a few.

    Some are on a channel with a history besides, and some are members of presence channels; visitors of these
    come and go. An async context manager.
    """

    def __init__(self, size: int, ports: list[int]) -> None:
        self._all_ports = ports
        self.problems: list[str] = []
        """What clients were told that nobody should have said."""
        self._browsers = [self._browser(_channels_of(number), _user_of(number)) for number in range(size)]
        places = sorted({name for browser in self._browsers for name in browser.members})
        self._visitors = [
            self._browser([name], f"visitor-{seat}") for seat in range(_VISITORS) for name in places
        ]
        self._tasks: dict[Browser, asyncio.Task[None]] = {}
        self.channels = sorted({name for browser in self._browsers for name in browser.record.heard})
        """Those on which messages are heard."""

    @property
    def records(self) -> list[Record]:
        """What each client heard."""
        return [browser.record for browser in self._browsers]

    @property
    def is_complete(self) -> bool:
        """Whether every client that is not told to stay away is on all its channels."""
        return all(browser.is_there for browser in self._tasks)

    @property
    def mistakes(self) -> list[str]:
        """What members were told and cannot be true."""
        return [
            mistake
            for browser in (*self._browsers, *self._visitors)
            for members in browser.members.values()
            for mistake in members.mistakes
        ]

    def busiest(self) -> int:
        """Return the number of the node that most clients are on."""
        [(port, _)] = Counter(browser.port for browser in self._browsers).most_common(1)
        return self._all_ports.index(port)

    def have_heard(self, numbers: set[int]) -> bool:
        """Whether every client has these late messages for everybody."""
        return all(numbers <= set(record.heard[EVERYBODY].numbers[-50:]) for record in self.records)

    def wrong_lists(self) -> list[str]:
        """Say whose list of members is not that of the clients that are on the channel."""
        true: dict[str, set[str]] = {}
        for browser in self._tasks:
            for name in browser.members:
                if browser.is_on(name):
                    true.setdefault(name, set()).add(browser.user)
        return [
            f"{browser.user} on {name} has {sorted(members.ids - true[name])} too many "
            f"and {sorted(true[name] - members.ids)} too few"
            for browser in self._tasks
            for name, members in browser.members.items()
            if browser.is_on(name) and members.ids != true[name]
        ]

    def invite(self, *, only_half: bool = False) -> None:
        """Let the visitors come who are not there, or half of them all."""
        some = self._visitors[:: 2 if only_half else 1]
        self._start(browser for browser in some if browser not in self._tasks)

    async def dismiss(self) -> None:
        """Let the visitors go, without a farewell."""
        await self._end(self._visitors)

    async def __aenter__(self) -> Self:
        self._start(self._browsers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(list(self._tasks))

    def _start(self, browsers: Iterable[Browser]) -> None:
        for browser in browsers:
            self._tasks[browser] = asyncio.create_task(browser.stay())

    async def _end(self, browsers: Iterable[Browser]) -> None:
        ending = [self._tasks.pop(browser) for browser in browsers if browser in self._tasks]
        for task in ending:
            task.cancel()
        for outcome in await asyncio.gather(*ending, return_exceptions=True):
            if not isinstance(outcome, asyncio.CancelledError):
                self.problems.append(f"a client has failed: {outcome!r}")

    def _browser(self, channels: list[str], user: str) -> Browser:
        return Browser(channels, user=user, ports=self._shuffled, problems=self.problems)

    def _shuffled(self) -> list[int]:
        return random.sample(self._all_ports, len(self._all_ports))


def _channels_of(number: int) -> list[str]:
    """Return the channels of a client by its number in the crowd."""
    channels = [EVERYBODY, f"{ROOM}{number // _TOGETHER}"]
    if number % _KEPT_EVERY == 0:
        channels.append(f"{KEPT}{number // _KEPT_EVERY // _TOGETHER}")
    if number % _MEMBER_EVERY == 0:
        channels.append(f"presence-{number // _MEMBER_EVERY // _MEMBERS}")
    return channels


def _user_of(number: int) -> str:
    place, seat = divmod(number // _MEMBER_EVERY, _MEMBERS)
    return f"user-{place}-{seat % _USERS}"
