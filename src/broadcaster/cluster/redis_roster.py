"""The roster of Redis: a node has a lease there, and what it reports lasts as long."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from broadcaster.cluster._again import run_again
from broadcaster.cluster._asks import Ask, Questions, nothing, say
from broadcaster.cluster._ledger import Command, Ledger, read_look
from broadcaster.cluster._own import Own, Part
from broadcaster.cluster._redis_link import Link, Links
from broadcaster.cluster._watched import Look, Watched
from broadcaster.cluster.replicas import News, token_of
from broadcaster.cluster.roster import PAUSE, Happened, Learned, Tell, place_in, split
from broadcaster.protocol.census import Occupancy
from broadcaster.protocol.elsewhere import Change, Elsewhere

__all__ = ["RedisRoster"]

_logger = logging.getLogger("broadcaster.server")

_AT_ONCE = 500
_CACHED = 10_000
_BEATS = 5
"""How often a lease is renewed before it could end; it is granted for fewer, so that it has ended by then."""


class RedisRoster:
    """Keeps who is where in the Redis at *url*, under names that begin with *prefix*; see `RedisBus`.

    A node that is silent for *lease* seconds loses what it has there. It takes it back under another name; so
    does one whose connection broke off, since what Redis has may be older than what it was told. *pause* is
    how many seconds pass before somebody who left counts as gone. Raises `ConfigurationError` for a URL that
    is none.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "",
        seconds: float = 2.0,
        lease: float = 10.0,
        pause: float = PAUSE,
    ) -> None:
        self._links = Links(url, seconds=seconds)
        self._seconds = seconds
        self._lease = lease
        self._beat = lease / _BEATS
        # Two beats less: one until it is noticed, and one that may have been lost.
        self._ledger = Ledger(prefix, lease=lease - 2 * self._beat, pause=pause)
        self._token = secrets.token_hex(8)
        self._names = 0
        self._node = ""
        self._former: list[str] = []
        self._own = Own()
        self._watched = Watched()
        self._cached: dict[str, tuple[str, int]] = {}
        self._more = asyncio.Event()
        self._questions = Questions(more=self._more.set, seconds=2 * seconds)
        self._dead: set[str] = set()
        self._beat_at = 0.0
        self._certain_at = 0.0
        self._is_certain = False
        self._is_lost = False
        self._is_closing = False
        self._was_away = False
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._happened: Happened
        self._tell: Tell

    @property
    def is_connected(self) -> bool:
        """See `Roster.is_connected`."""
        return self._settled.is_set()

    def open(self, learned: Learned, happened: Happened, tell: Tell) -> None:
        """See `Roster.open()`; it does not wait for Redis."""
        self._watched.learned, self._happened, self._tell = learned, happened, tell
        self._task = asyncio.create_task(
            run_again(self._run, self._lost, what="roster"), name="broadcaster-roster"
        )

    def report(self, place: str, change: Change, *, tell: bool) -> None:
        """See `Roster.report()`."""
        self._own.report(place, change, tell=tell)
        self._more.set()

    def watch(self, place: str, ready: Callable[[Elsewhere], None]) -> None:
        """See `Roster.watch()`."""
        self._watched.add(place, ready)
        if self._was_away:
            self._watched.be_ready()
        self._more.set()

    def unwatch(self, place: str) -> None:
        """See `Roster.unwatch()`."""
        self._watched.remove(place)

    def hear(self, place: str, news: News) -> None:
        """See `Roster.hear()`."""
        self._watched.hear(place, news)
        if not self._watched.is_known:
            self._more.set()

    def interrupted(self) -> None:
        """See `Roster.interrupted()`."""
        self._watched.look_at_all()
        self._more.set()

    def keep(self, place: str, frame: str, seconds: int) -> None:
        """See `Roster.keep()`; while Redis is away, the last events of so many channels wait."""
        self._cached[place] = frame, seconds
        if len(self._cached) > _CACHED:
            del self._cached[next(iter(self._cached))]
        self._more.set()

    def told(self) -> Sequence[Awaitable[None]]:
        """See `Roster.told()`."""
        return [self._is_told()] if self._cached and not self._was_away else ()

    async def count(self, places: Collection[str]) -> dict[str, Occupancy]:
        """See `Roster.count()`."""
        found: dict[str, Occupancy] = {}
        ordered = list(places)
        for start in range(0, len(ordered), _AT_ONCE // 2):
            some = ordered[start : start + _AT_ONCE // 2]
            answers = await self._ask(
                [
                    command
                    for place in some
                    for command in (self._ledger.connections(place), self._ledger.user_count(place))
                ]
            )
            for place, counts, users in zip(some, answers[::2], answers[1::2], strict=True):
                found[place] = Occupancy(sum(int(value.split()[0]) for value in counts), users)
        return found

    async def channels(self, app_id: str, prefix: str) -> dict[str, Occupancy]:
        """See `Roster.channels()`."""
        begins = place_in(app_id, prefix)
        places: dict[str, None] = {}
        cursor = b"0"
        while True:
            [(cursor, some)] = await self._ask([self._ledger.channels(app_id, cursor)])
            places |= dict.fromkeys(place for found in some if (place := found.decode()).startswith(begins))
            if cursor == b"0":
                break
        counted = await self.count(places)
        return {split(place)[1]: found for place, found in counted.items() if found.connections}

    async def users(self, place: str) -> list[str]:
        """See `Roster.users()`."""
        [found] = await self._ask([self._ledger.users(place)])
        return sorted(user_id.decode() for user_id in found)

    async def aclose(self, seconds: float) -> None:
        """See `Roster.aclose()`."""
        self._is_closing = True
        if self._task is None:
            return
        if self._settled.is_set():
            self._former.append(self._node)
            self._settled.clear()
            self._more.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._settled.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._settled.clear()

    async def _is_told(self) -> None:
        """Wait for an answer: it comes after all that was to be told before."""
        with suppress(OSError):
            await self._ask([("PING",)])

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        if self._was_away or self._task is None:
            raise ConnectionError("Redis is away")
        return await self._questions.ask(commands)

    async def _run(self) -> None:
        link = self._links.link(self._ledger.home)
        try:
            await link.open()
            await say(link, [Ask(command, nothing) for command in self._ledger.load()])
            await self._begin(link)
            while True:
                if asks := self._asks():
                    await say(link, asks)
                elif not self._settled.is_set():
                    self._settle()
                else:
                    await self._wait()
                if self._is_lost and not self._is_closing:
                    await self._begin(link)
        finally:
            self._settled.clear()
            await link.close()

    def _lost(self, error: OSError) -> None:
        """Note that Redis is away; nobody waits for that to change."""
        if not self._was_away:
            _logger.error("Redis is away (%s): who is where is known of this node only", error)
        self._was_away = True
        self._questions.fail()
        self._watched.be_ready()

    async def _begin(self, link: Link) -> None:
        """Take a name that nobody had, and tell everything under it."""
        if self._node:
            self._former.append(self._node)
        self._names += 1
        self._node = f"{self._token}-{self._names}"
        self._is_lost = self._is_certain = False
        self._settled.clear()
        now = asyncio.get_running_loop().time()
        # Until then others may be about to come back as well.
        self._beat_at, self._certain_at = now + self._beat, now + self._lease
        await say(
            link,
            [Ask(self._ledger.register(self._node, self._former), self._own.begin)],
        )
        self._watched.look_at_all()

    def _settle(self) -> None:
        """Note that all is told and known."""
        self._settled.set()
        if self._was_away:
            self._was_away = False
            _logger.warning("Redis is back: who is where is known again")

    async def _wait(self) -> None:
        """Wait until there is something to say, or the next beat is due."""
        self._more.clear()
        if self._own.is_told and self._watched.is_known and not (self._cached or self._questions):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._beat_at):
                    await self._more.wait()

    def _asks(self) -> list[Ask]:
        """Return what is to be said next; a question after what it may depend on."""
        asks = self._beats() + [self._share(part) for part in self._own.take(_AT_ONCE)]
        asks += [self._look(look) for look in self._watched.take(_AT_ONCE)]
        while self._cached and len(asks) < _AT_ONCE:
            place = next(iter(self._cached))
            frame, seconds = self._cached.pop(place)
            asks.append(Ask(self._ledger.keep(place, frame, seconds), nothing))
        if self._own.is_told and not self._cached:
            while self._questions and len(asks) < 2 * _AT_ONCE:
                asks += self._questions.take()
        if not asks:
            asks += [self._bury(node, alive=True) for node in self._former]
            asks += [self._bury(node, alive=False) for node in self._dead]
        return asks

    def _beats(self) -> list[Ask]:
        now = asyncio.get_running_loop().time()
        if self._is_closing or now < self._beat_at:
            return []
        self._beat_at = now + self._beat
        known = self._watched.nodes
        return [Ask(self._ledger.beat(self._node), lambda answer: self._take_beat(answer, known))]

    def _take_beat(self, answer: Any, known: frozenset[str]) -> None:
        if answer is None:
            self._is_lost = True
            return
        living, ended, farewells = answer
        if self._is_certain:
            self._watched.forget(known - {node.decode() for node in living})
            self._dead = {name for node in ended if token_of(name := node.decode()) != self._token}
        elif asyncio.get_running_loop().time() >= self._certain_at:
            self._is_certain = True
            self._watched.look_at_all()
        for farewell in farewells:
            place, _, user_id = farewell.decode().partition("\n")
            self._happened(place, "member_removed" if user_id else "channel_vacated", user_id or None)

    def _share(self, part: Part) -> Ask:
        return Ask(self._ledger.share(self._node, part), lambda answer: self._take_share(part, answer))

    def _take_share(self, part: Part, answer: Any) -> None:
        if answer is None:
            self._is_lost = True
            return
        clock, is_occupied, *came = answer
        after = self._own.told(part, clock)
        if part.share.tell:
            self._tell(part.place, News(self._node, clock, after, part.count, part.came, part.gone))
        if is_occupied:
            self._happened(part.place, "channel_occupied", None)
        for user_id in came:
            self._happened(part.place, "member_added", user_id.decode())

    def _look(self, look: Look) -> Ask:
        def take(answer: Any) -> None:
            clock, shares, cached = read_look(answer, own=self._token)
            self._watched.looked(look, clock, shares, cached, hold=not self._is_certain)

        return Ask(self._ledger.look(look.name), take)

    def _bury(self, node: str, *, alive: bool) -> Ask:
        def take(left: Any) -> None:
            if not left:
                self._dead.discard(node)
                self._former = [name for name in self._former if name != node]

        return Ask(self._ledger.bury(node, alive=alive), take)
