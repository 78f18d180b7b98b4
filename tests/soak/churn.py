"""A thousand connections that come and go, for ten minutes: does anything stay behind?

Run `python -m tests.soak.churn [MINUTES]`; it prints figures, and ends with 1 where memory grows.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress

from broadcaster.client import Client
from broadcaster.signing import Credentials
from tests.soak.served import KEY, SECRET, Served

_CONNECTIONS = 1_000
_GROWTH = 8_000
"""KB that may differ between the first minute and the last."""


async def churn(served: Served, minutes: float) -> list[str]:
    """Keep a thousand connections, each replaced after a few seconds; return what went wrong."""
    ends = time.monotonic() + minutes * 60
    memory: list[int] = []
    count = 0

    async def one(number: int) -> None:
        nonlocal count
        dice = random.Random(number)
        while time.monotonic() < ends:
            url, credentials = f"ws://127.0.0.1:{served.port}", Credentials(KEY, SECRET)
            async with Client(url, KEY, auth=credentials, timeout=60.0) as client:
                channels = [client.channel(f"kept-{dice.randrange(10_000)}"), client.join(f"{number % 20}")]
                with suppress(TimeoutError):
                    for channel in channels:
                        await channel.subscribed(60.0)
                    count += 1
                await asyncio.sleep(dice.uniform(1.0, 10.0))

    async def watch() -> None:
        while True:
            await asyncio.sleep(15.0)
            memory.append(served.memory)
            print(
                f"{count:>8,} connections, {memory[-1] / 1024:.1f} MB, {served.cpu:.0f} s of CPU", flush=True
            )

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(one(number) for number in range(_CONNECTIONS)))
    watching.cancel()
    await asyncio.sleep(5.0)
    print(f"{count:,} connections came and went; at the end, with none: {served.memory / 1024:.1f} MB")
    early, late = max(memory[: len(memory) // 4 or 1]), max(memory[-len(memory) // 4 :])
    return [f"memory grew by {late - early} KB"] if late - early > _GROWTH else []


def main() -> None:
    """Churn on a server of its own."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with Served() as served:
        problems = asyncio.run(churn(served, minutes))
        if "Traceback" in served.log:
            problems.append(served.log[-3_000:])
    print("\n".join(problems) or "nothing stayed behind")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
