"""Whatever happens to nodes, to Redis and to clients, beside a model that is too simple to be wrong.

The invariants, for each client: the ids that it hears grow, but after a gap; no event comes twice, but after
a gap, or where the node that took it was cut off from Redis; and an event that did not come was followed by a
gap, but where that node ended before Redis had heard of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadcaster.cluster.journal import Journal
from broadcaster.cluster.redis import redis_group
from broadcaster.protocol.handshake import Refusal, Visit
from broadcaster.protocol.limits import Limits
from broadcaster.server.node import Node
from broadcaster.server.session import Session
from tests.cluster.contract import SECONDS
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.server.clients import APP
from tests.thorough import examples
from tests.waits import auntil

NODES = 3
CLIENTS = 3
KEPT = replace(APP, history=("kept",), limits=Limits(history_events=8))
_groups = itertools.count()

Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["send"] * 5 + ["burst", "move", "move", "away", "cut", "mend", "blink", "kill", "flush", "calm"]
        ),
        st.integers(0, NODES - 1),
        st.integers(0, CLIENTS - 1),
    ),
    min_size=5,
    max_size=25,
)


@dataclass
class Machine:
    """A place for one node after another, with its own way to Redis."""

    proxy: Proxy
    journal: Journal
    node: Node
    is_cut: bool = False
    is_shaky: bool = False
    """Whether it may not have noticed yet that it was cut off, or no longer is."""
    taken: list[int] = field(default_factory=list)
    """What it took since all was calm."""

    @property
    def has_recorded_all(self) -> bool:
        """Whether Redis has had all that it took; in a history it need not be, if more came after it."""
        return self.journal.is_connected and not self.journal.told()


class Browser:
    """A client that goes by ids; it is its own wire."""

    deflated = False

    def __init__(self) -> None:
        self.heard: list[tuple[int, str | None]] = []
        """The number of each event and its id; -1 is a gap."""
        self.machine: Machine | None = None
        self._last_id: str | None = None
        self._session: Session | None = None
        self._wire: Wire | None = None

    def connect(self, machine: Machine) -> None:
        hub = machine.node.admit(KEPT.key, Visit({"protocol": "7"}))
        assert not isinstance(hub, Refusal)
        self.machine, self._wire = machine, Wire(self)
        self._session = machine.node.connect(hub, self._wire)
        data = {"channel": "kept"} | ({"last_id": self._last_id} if self._last_id else {})
        self._session.received(json.dumps({"event": "pusher:subscribe", "data": data}))

    def disconnect(self) -> None:
        if self._session is not None and self._wire is not None:
            self._wire.browser, self.machine = None, None
            self._session.closed()

    def has(self, number: int, *, since: int) -> bool:
        """Whether an event came, or a gap after what was heard first."""
        return any(each in (number, -1) for each, _ in self.heard[since:])

    def receive(self, frame: dict[str, Any]) -> None:
        match frame:
            case {"event": "pusher_internal:subscription_succeeded", "id": str(given)}:
                self._last_id = self._last_id or given
            case {"event": "broadcaster:gap", "id": str(given)}:
                self._last_id = given
                self.heard.append((-1, given))
            case {"event": "news", "data": data, **rest}:
                self._last_id = rest.get("id", self._last_id)
                self.heard.append((int(data), rest.get("id")))


@dataclass
class Wire:
    """One connection of a browser, for as long as it is its own."""

    browser: Browser | None
    deflated: bool = False

    def write(self, payload: str, /) -> None:
        if self.browser is not None:
            self.browser.receive(json.loads(payload))

    def probe(self) -> None:
        """Live."""

    def hang_up(self, code: int, reason: str) -> None:
        self.browser = None


class World:
    """Nodes that can be killed and cut off, the clients on them, and what was said."""

    def __init__(self, redis: RedisServer, stack: ExitStack) -> None:
        self._redis = redis
        self._admin = redis.client()
        self._stack = stack
        self._prefix = f"model-{next(_groups)}-"
        self._dead: list[Node] = []
        self._number = 0
        self.machines = [self._machine() for _ in range(NODES)]
        self.browsers = [Browser() for _ in range(CLIENTS)]
        self.sent: list[tuple[int, list[int]]] = []
        """The number of each event, and how much each client had heard then."""
        self.repeated: set[int] = set()
        """What may come twice."""
        self.lost: set[int] = set()
        """What may never come."""

    async def open(self) -> None:
        for machine in self.machines:
            machine.node.open()
            await auntil(lambda machine=machine: machine.node.health("/readyz").status == 200)  # type: ignore[misc]
        for browser in self.browsers:
            browser.connect(self.machines[0])
            await auntil(lambda browser=browser: browser._last_id)  # type: ignore[misc]

    async def take(self, what: str, which: int, who: int) -> None:
        machine, browser = self.machines[which], self.browsers[who]
        match what:
            case "send":
                self.send(machine)
            case "burst":
                for _ in range(6):
                    self.send(machine)
            case "move":
                browser.disconnect()
                browser.connect(machine)
            case "away":
                browser.disconnect()
            case "cut" | "blink" | "mend" | "kill":
                await self._trouble(what, which)
            case "flush":
                self._admin.flushall()
            case "calm":
                await self.calm()
        await asyncio.sleep(0)

    def send(self, machine: Machine) -> int:
        self._number += 1
        self.sent.append((self._number, [len(browser.heard) for browser in self.browsers]))
        machine.taken.append(self._number)
        if machine.is_shaky:
            self.repeated.add(self._number)
        hub = machine.node.hubs[KEPT.id]
        machine.node.perform(hub, hub.broadcast("news", ["kept"], str(self._number)))
        return self._number

    async def calm(self) -> None:
        """Return when everybody who is connected to Redis has heard the last of each of those who are."""
        machines = [machine for machine in self.machines if not machine.is_cut]
        browsers = [browser for browser in self.browsers if browser.machine in machines]
        for machine in machines:
            heard = [len(browser.heard) for browser in browsers]
            fence = self.send(machine)
            await auntil(lambda machine=machine: machine.has_recorded_all)  # type: ignore[misc]
            await auntil(
                lambda heard=heard, fence=fence: all(  # type: ignore[misc]
                    browser.has(fence, since=since) for browser, since in zip(browsers, heard, strict=True)
                )
            )
            machine.is_shaky = False
        if browsers:
            for machine in machines:
                machine.taken.clear()

    async def end(self) -> None:
        """Mend everything, have everybody come back, and wait until all have heard all."""
        for machine in self.machines:
            await self._mend(machine)
        for number, browser in enumerate(self.browsers):
            if browser.machine is None:
                browser.connect(self.machines[number % NODES])
        await self.calm()
        await self.calm()

    async def close(self) -> None:
        for machine in self.machines:
            machine.node.close()
            await machine.node.finish(SECONDS)
        for node in self._dead:
            node.close()
            await node.finish(0)

    def check(self) -> None:
        """Hold what the clients heard against the invariants."""
        for who, browser in enumerate(self.browsers):
            before, seen = (0, 0), set[int]()
            for number, event_id in browser.heard:
                if number == -1:
                    before, seen = (0, 0), set()
                    continue
                assert number not in seen or number in self.repeated, f"{number} came twice"
                seen.add(number)
                if event_id is not None:
                    first, second = map(int, event_id.split("-"))
                    assert (first, second) > before, f"{number} came out of order"
                    before = first, second
            for number, heard in self.sent:
                came = browser.has(number, since=heard[who])
                assert came or number in self.lost, f"{number} was missed in silence"

    def _machine(self) -> Machine:
        proxy = self._stack.enter_context(Proxy(self._redis.port))
        group = redis_group(self._redis.url(proxy.port), prefix=self._prefix, seconds=0.3)
        return Machine(proxy, group.journal, Node([KEPT], encode=str, group=group))

    async def _trouble(self, what: str, which: int) -> None:
        machine = self.machines[which]
        match what:
            case "mend":
                await self._mend(machine)
            case "kill":
                self._kill(which)
                await auntil(lambda: self.machines[which].node.health("/readyz").status == 200)
            case _:
                self.repeated.update(machine.taken)
                break_off = machine.proxy.stop if what == "cut" else machine.proxy.break_connections
                await asyncio.to_thread(break_off)
                machine.is_cut = machine.is_cut or what == "cut"
                machine.is_shaky = True

    async def _mend(self, machine: Machine) -> None:
        await asyncio.to_thread(machine.proxy.start)
        await auntil(lambda: machine.node.health("/readyz").status == 200)
        machine.is_cut = False

    def _kill(self, which: int) -> None:
        machine = self.machines[which]
        # Nothing of it gets through any more, whatever it still does.
        machine.proxy.stop()
        self.lost.update(machine.taken)
        self.repeated.update(machine.taken)
        self._dead.append(machine.node)
        self.machines[which] = self._machine()
        self.machines[which].node.open()
        for browser in self.browsers:
            if browser.machine is machine:
                browser.disconnect()
                browser.connect(self.machines[which])


@settings(
    max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_nobody_misses_an_event_in_silence(redis: RedisServer, steps: list[Step]) -> None:
    async def play() -> None:
        with ExitStack() as stack:
            world = World(redis, stack)
            try:
                await world.open()
                for what, which, who in steps:
                    await world.take(what, which, who)
                await world.end()
                world.check()
            finally:
                await world.close()

    asyncio.run(play())
