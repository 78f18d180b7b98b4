"""A thousand connections that come and go, for ten minutes: does anything stay behind?

Run `python -m tests.soak.churn [MINUTES]`; it prints figures, and ends with 1 where something stays.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack

from broadcaster.client import Client
from broadcaster.signing import Credentials
from tests.server.clients import call
from tests.soak.served import ID, KEY, SECRET, Served, run
from tests.waits import until

_AT_ONCE = 1_000
_OPENERS = 20
_REPORT_EVERY = 5_000
_GROWTH = 8_000
"""KB that may differ between the first quarter and the last."""
_OBJECTS = 2_000
"""Objects that may be there besides, when everybody has gone."""
_OF_A_CONNECTION = ("Connection", "Session", "WebSocketConnection")

_CREDENTIALS = Credentials(KEY, SECRET)


async def churn(served: Served) -> list[str]:
    """Keep a thousand connections; for each that comes, one that chance picks goes."""
    ends = time.monotonic() + (float(sys.argv[1]) if len(sys.argv) > 1 else 10.0) * 60
    dice = random.Random(1)
    there: list[AsyncExitStack] = []
    memory: list[int] = []
    came = 0
    await (await _come(served, dice)).aclose()
    before = await asyncio.to_thread(_objects_when_all_are_gone, served)

    async def come_and_go() -> None:
        nonlocal came
        while time.monotonic() < ends:
            there.append(await _come(served, dice))
            came += 1
            if came % _REPORT_EVERY == 0:
                memory.append(served.memory)
                print(
                    f"{came:>8,} connections, {memory[-1] / 1024:.1f} MB, {served.cpu:.0f} s of CPU",
                    flush=True,
                )
            if len(there) > _AT_ONCE:
                await there.pop(dice.randrange(len(there))).aclose()

    await asyncio.gather(*(come_and_go() for _ in range(_OPENERS)))
    await asyncio.gather(*(one.aclose() for one in there))
    after = await asyncio.to_thread(_objects_when_all_are_gone, served)
    print(f"{came:,} connections came and went")
    print(
        f"with none: {served.memory / 1024:.1f} MB, {after['all']:,} objects, {before['all']:,} at the start"
    )
    problems = []
    if after["all"] - before["all"] > _OBJECTS:
        grown = {kind: count - before.get(kind, 0) for kind, count in after.items()}
        problems.append(f"objects stayed: { {kind: count for kind, count in grown.items() if count > 0} }")
    quarter = len(memory) // 4 or 1
    if memory and (more := max(memory[-quarter:]) - max(memory[:quarter])) > _GROWTH:
        problems.append(f"memory grew by {more} KB")
    return problems


async def _come(served: Served, dice: random.Random) -> AsyncExitStack:
    """Join two channels on a connection of its own; return what closes it."""
    client = Client(f"ws://127.0.0.1:{served.port}", KEY, auth=_CREDENTIALS, timeout=60.0)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client)
        for channel in (
            client.channel(f"kept-{dice.randrange(10_000)}"),
            client.join(f"{dice.randrange(20)}"),
        ):
            await channel.subscribed(60.0)
        return stack.pop_all()


def _objects_when_all_are_gone(served: Served) -> dict[str, int]:
    def channels() -> object:
        return call(served.port, "GET", f"/apps/{ID}/channels", credentials=_CREDENTIALS).json["channels"]

    until(lambda: channels() == {}, seconds=30.0)
    until(lambda: not any(served.objects().get(kind) for kind in _OF_A_CONNECTION), seconds=30.0)
    return served.objects()


if __name__ == "__main__":
    run(churn, well="nothing stayed behind")
