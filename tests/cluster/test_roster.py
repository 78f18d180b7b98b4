"""Whatever happens to nodes and to Redis, in any order, beside a model that is too simple to be wrong.

The invariants: nobody who watches hears of a user who comes and is there, or goes and is not, as `RosterNode`
asserts at each step; when all is calm, everybody who watches knows exactly the users whom a living node has,
and so does Redis.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import ExitStack
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadcaster.cluster.redis_roster import RedisRoster
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.thorough import examples
from tests.waits import auntil

from .contract import SECONDS
from .rosters import ROOM, RosterNode

NODES = 3
USERS = ("ann", "bob", "cid")
_groups = itertools.count()

Step = tuple[str, int, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "join", "leave", "kill", "cut", "mend", "flush", "miss"]),
        st.integers(0, NODES - 1),
        st.sampled_from(USERS),
    ),
    min_size=5,
    max_size=25,
)


@dataclass
class Machine:
    """A place for one node after another, with its own way to Redis."""

    proxy: Proxy
    node: RosterNode
    users: set[str] = field(default_factory=set)


class Group:
    """Nodes that can be killed and cut off, and who is on them."""

    def __init__(self, redis: RedisServer, stack: ExitStack) -> None:
        self._redis = redis
        self._stack = stack
        self.prefix = f"model-{next(_groups)}-"
        self._nodes: list[RosterNode] = []
        self._dead: list[RosterNode] = []
        self.machines = [self._machine() for _ in range(NODES)]

    def _machine(self) -> Machine:
        proxy = self._stack.enter_context(Proxy(self._redis.port))
        url = self._redis.url(proxy.port)
        roster = RedisRoster(url, prefix=self.prefix, seconds=0.3, lease=1.0, pause=0.01)
        return Machine(proxy, RosterNode(roster, self._nodes))

    async def open(self) -> None:
        for machine in self.machines:
            await machine.node.open()
            await machine.node.watch()

    async def take(self, what: str, which: int, user: str) -> None:
        machine = self.machines[which]
        match what:
            case "join" if user not in machine.users:
                machine.users.add(user)
                machine.node.joins(user, count=len(machine.users))
            case "leave" if user in machine.users:
                machine.users.discard(user)
                machine.node.leaves(user, count=len(machine.users))
            case "kill":
                # Nothing of it gets through any more, whatever it still does.
                machine.proxy.stop()
                self._nodes.remove(machine.node)
                self._dead.append(machine.node)
                self.machines[which] = self._machine()
                await self.machines[which].node.open()
                await self.machines[which].node.watch()
            case "cut":
                machine.proxy.stop()
                await auntil(lambda: not machine.node.roster.is_connected)
            case "mend":
                machine.proxy.start()
                await auntil(lambda: machine.node.roster.is_connected)
            case "flush":
                self._redis.client().flushall()
            case "miss":
                machine.node.roster.interrupted()
        await asyncio.sleep(0)

    def is_calm(self) -> bool:
        """Whether everybody knows exactly the users that the others have."""
        return all(
            machine.node.members.keys()
            == {user for other in self.machines if other is not machine for user in other.users}
            and machine.node.count == sum(len(other.users) for other in self.machines if other is not machine)
            for machine in self.machines
        )

    async def close(self) -> None:
        for machine in self.machines:
            await machine.node.roster.aclose(SECONDS)
        for node in self._dead:
            await node.roster.aclose(0)


@settings(
    max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_nobody_joins_twice_and_nobody_stays_behind(redis: RedisServer, steps: list[Step]) -> None:
    async def play() -> None:
        with ExitStack() as stack:
            group, admin = Group(redis, stack), redis.client()
            try:
                await group.open()
                for what, which, user in steps:
                    await group.take(what, which, user)

                for machine in group.machines:
                    machine.proxy.start()

                everybody = {user for machine in group.machines for user in machine.users}
                key = f"{{{group.prefix}broadcaster}}:member:{ROOM}"
                await auntil(
                    lambda: group.is_calm() and {user.decode() for user in admin.hkeys(key)} == everybody
                )
            finally:
                await group.close()

    asyncio.run(play())
