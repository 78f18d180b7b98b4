"""A cluster: who owns which slot, as the server tells that knows of the most changes."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from broadcaster._slots import SLOTS, owned_ranges, slot_of
from broadcaster.cluster._polls import poll
from broadcaster.cluster._redis_wire import Opener, Refusal, Wire
from broadcaster.cluster.redis_url import Address

__all__ = ["Cluster"]

_ASKED = 5


class _Map(NamedTuple):
    epoch: int
    owners: list[Address | None]


class Cluster:
    """Leads to the masters of the cluster to which *seeds* belong."""

    is_sharded = True

    def __init__(self, opener: Opener, seeds: Sequence[Address]) -> None:
        self._opener = opener
        self._seeds = frozenset(seeds)
        self._owners: list[Address | None] = [None] * SLOTS
        self.homes: frozenset[Address] = frozenset()

    def home(self, key: str) -> Address | None:
        """See `Servers.home()`."""
        return self._owners[slot_of(key.encode())]

    async def locate(self) -> bool:
        """See `Servers.locate()`.

        A master that is cut off from the others has not heard who took over from it: several are asked.
        """
        known = [*self._seeds | self.homes]
        asked = random.sample(known, min(len(known), _ASKED))
        most = len(asked) // 2
        maps, reason = await poll(map(self._told_by, asked), enough=lambda maps: len(maps) > most)
        if not maps:
            raise reason or ConnectionError("no server of the cluster is known")
        _, owners = max(maps, key=lambda told: told.epoch)
        has_changed = owners != self._owners
        if has_changed:
            self._owners = owners
            self.homes = frozenset(owner for owner in owners if owner is not None)
        return has_changed

    async def connect(self, key: str) -> tuple[Wire, None]:
        """See `Servers.connect()`."""
        await self.locate()
        home = self.home(key)
        if home is None:
            raise ConnectionError(f"no server of the cluster owns slot {slot_of(key.encode())}")
        return await self.connect_to(home)

    async def connect_to(self, home: Address) -> tuple[Wire, None]:
        """See `Servers.connect_to()`; whoever is not the owner any more says so."""
        wire = self._opener.wire(home)
        try:
            await wire.open()
        except BaseException:
            await wire.close()
            raise
        return wire, None

    async def _told_by(self, address: Address) -> _Map:
        wire, _ = await self.connect_to(address)
        try:
            slots, info = await wire.ask(("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
        finally:
            await wire.close()
        for answer in (slots, info):
            if isinstance(answer, Refusal):
                raise ConnectionError(f"{address} does not tell who owns the slots: {answer}")
        owners: list[Address | None] = [None] * SLOTS
        for owned, host, port in owned_ranges(slots, asked=address.host):
            owners[owned] = [Address(host, port)] * (owned.stop - owned.start)
        epoch = re.search(rb"^cluster_current_epoch:(\d+)", info, re.MULTILINE)
        return _Map(int(epoch[1]) if epoch else 0, owners)
