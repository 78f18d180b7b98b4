"""The master: the only server there is, or the one that sentinels name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from broadcaster.cluster._lookout import Lookout
from broadcaster.cluster._polls import poll
from broadcaster.cluster._redis_wire import Caller, Opener, Refusal, Wire
from broadcaster.cluster.redis_url import Address

__all__ = ["Finder", "Master", "OnlyOne", "Sentinels"]

_HOME = Address("master", 0)
"""Where everything lives, whichever server that is."""


class Finder(Protocol):
    """Finds the master, again and again."""

    async def find(self) -> list[Address | None]:
        """Return where it may be, the likeliest first; None is where the URL says. May raise `OSError`."""
        ...

    async def close(self) -> None:
        """Let go of whom it asks."""


class OnlyOne:
    """Finds the server that there is."""

    async def find(self) -> list[Address | None]:
        """See `Finder.find()`."""
        return [None]

    async def close(self) -> None:
        """See `Finder.close()`."""


class Sentinels:
    """Asks those at *addresses* for the master of *service*; the majority is believed.

    One that missed a failover, or is cut off together with the old master, still names that.
    """

    def __init__(self, opener: Opener, addresses: Sequence[Address], service: str) -> None:
        self._callers = [Caller(opener, address) for address in addresses]
        self._question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        self._service = service

    async def find(self) -> list[Address | None]:
        """See `Finder.find()`."""
        half = len(self._callers) // 2
        answers, reason = await poll(
            map(self._named_by, self._callers),
            enough=lambda answers: any(votes > half for votes in Counter(answers).values()),
        )
        votes = Counter(address for address in answers if address is not None)
        if not votes:
            raise reason or ConnectionError(f"no sentinel knows the master {self._service!r}")
        return [address for address, _ in votes.most_common()]

    async def close(self) -> None:
        """See `Finder.close()`."""
        for caller in self._callers:
            await caller.close()

    async def _named_by(self, caller: Caller) -> Address | None:
        [answer] = await caller.ask(self._question)
        match answer:
            case [bytes(host), bytes(port)]:
                return Address(host.decode(), int(port))
            case Refusal():
                raise ConnectionError(f"a sentinel refuses to name the master: {answer}")
        return None


class Master:
    """Leads to the master that a finder finds, and away from one that is none any more."""

    is_sharded = False
    homes = frozenset({_HOME})

    def __init__(self, opener: Opener, finder: Callable[[], Finder], *, seconds: float) -> None:
        self._opener = opener
        self._finder = finder
        self._seconds = seconds
        self._lookouts: dict[Address | None, Lookout] = {}

    def home(self, key: str) -> Address:
        """See `Servers.home()`; it is always the same."""
        return _HOME

    async def locate(self) -> bool:
        """See `Servers.locate()`."""
        return False

    async def connect(self, key: str) -> tuple[Wire, Lookout]:
        """See `Servers.connect()`."""
        return await self.connect_to(_HOME)

    async def connect_to(self, home: Address) -> tuple[Wire, Lookout]:
        """See `Servers.connect_to()`; somebody sees that it stays the master."""
        finder = self._finder()
        try:
            addresses = await finder.find()
        finally:
            await finder.close()
        reason: OSError | None = None
        for address in addresses:
            try:
                return await self._open(address), self._lookout(address)
            except OSError as error:
                reason = reason or error
        raise reason or ConnectionError("nobody knows of a master")

    async def _open(self, address: Address | None) -> Wire:
        wire = self._opener.wire(address)
        try:
            await wire.open()
            await _check(wire)
        except BaseException:
            await wire.close()
            raise
        return wire

    def _lookout(self, address: Address | None) -> Lookout:
        """Return the lookout that the links to *address* share, until the first of them breaks."""
        self._lookouts = {where: one for where, one in self._lookouts.items() if one.is_trusted}
        if address not in self._lookouts:
            caller, finder = Caller(self._opener, address), self._finder()

            async def look() -> None:
                await _check(caller)
                if (successor := await self._successor(finder, address)) is not None:
                    raise ConnectionError(f"{successor} is the master now")

            async def close() -> None:
                await caller.close()
                await finder.close()

            self._lookouts[address] = Lookout(look, close, seconds=self._seconds)
        return self._lookouts[address]

    async def _successor(self, finder: Finder, address: Address | None) -> Address | None:
        """Return the master that took over from *address*; sentinels that are away tell of none."""
        try:
            named, *_ = await finder.find()
            if named == address:
                return None
            await (await self._open(named)).close()
        except OSError:
            return None
        return named


async def _check(server: Wire | Caller) -> None:
    """Raise `ConnectionError` unless *server* is a master.

    A replica takes a SUBSCRIBE and a PUBLISH without a word, and tells nobody else.
    """
    [answer] = await server.ask(("HELLO",))
    # Redis 5 and older do not know the command.
    if not isinstance(answer, Refusal) and b"master" not in answer:
        raise ConnectionError("it is a replica, and not the master any more")
