"""Ten thousand jobs, and every two seconds a worker is killed: does each reach the browser, and once?

Run `python -m tests.soak.jobs [ENGINE [COUNT]]`, with one of the engines of `tests.soak.engines`; it prints
figures, and ends with 1 where one is lost or comes twice.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from broadcaster import BroadcastManager, Event, ShouldQueue
from broadcaster.client import Client
from broadcaster.protocol.limits import Limits
from broadcaster.queues.working import WorkedQueue
from tests.soak.engines import ENGINES
from tests.soak.served import ID, KEY, SECRET, Served, run
from tests.waits import until

_WORKERS = 4
_KILL_EVERY = 2.0
_PUSH_SECONDS = 30.0
"""How long pushing takes at least, so that it does not end before a worker was killed."""
_MOST_SECONDS = 480.0


class Job(Event, ShouldQueue):
    """One of many."""

    number: int

    def broadcast_on(self) -> str:
        return "jobs"


class Workers:
    """Processes that work, of which one is killed from time to time, and another one takes its place."""

    def __init__(self, logs: Path) -> None:
        self.killed = 0
        self._logs = logs
        self._started = 0
        self._processes = [self._start() for _ in range(_WORKERS)]

    def kill_one(self) -> None:
        """Kill the oldest with -9, in the middle of whatever it does, unless it is still starting."""
        oldest, log = self._processes[0]
        if not _works(log):
            return
        del self._processes[0]
        if oldest.poll() is None:
            self.killed += 1
        oldest.kill()
        oldest.wait(10)
        self._processes.append(self._start())

    def end(self) -> list[int]:
        """End those that are left, in order; return their exit statuses."""
        for process, log in self._processes:
            until(lambda log=log: _works(log), seconds=30.0)  # type: ignore[misc]
            process.terminate()
        return [process.wait(60) for process, _ in self._processes]

    def _start(self) -> tuple[subprocess.Popen[bytes], Path]:
        self._started += 1
        path = self._logs / str(self._started)
        with path.open("wb") as log:
            command = [sys.executable, "-m", "broadcaster", "work", "--concurrency=2"]
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log), path


def _works(log: Path) -> bool:
    return "working on" in log.read_text()


async def jobs(served: Served) -> list[str]:
    """Push all, with workers that are killed; return what is wrong with what arrived."""
    name = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with ExitStack() as stack:
        engine = stack.enter_context(ENGINES[name]())
        os.environ.update(_driver(served), **engine.variables)
        broadcast = stack.enter_context(BroadcastManager.from_env())
        logs = Path(stack.enter_context(TemporaryDirectory()))
        async with Client(f"ws://127.0.0.1:{served.port}", KEY, timeout=60.0) as client:
            channel = client.channel("jobs")
            await channel.subscribed(60.0)
            seen: Counter[int] = Counter()
            first: dict[int, float] = {}
            repeats: list[float] = []
            async with channel.listen("Job", waiting=2 * count) as listener:

                async def browse() -> None:
                    async for incoming in listener:
                        number, now = incoming.data["number"], time.monotonic()
                        if seen[number]:
                            repeats.append(now - first[number])
                        first.setdefault(number, now)
                        seen[number] += 1

                browsing = asyncio.create_task(browse())
                problems = await _push_and_kill(broadcast, count, seen, logs, engine.recovery)
                browsing.cancel()
                if repeats:
                    window = Limits().repeat_window
                    print(f"repeats came up to {max(repeats):.0f} s late; ids are known for {window} s")
        return problems + _complaints(logs)


async def _push_and_kill(
    broadcast: BroadcastManager, count: int, seen: Mapping[int, int], logs: Path, recovery: float
) -> list[str]:
    begun, workers = time.monotonic(), Workers(logs)
    pushing = asyncio.create_task(asyncio.to_thread(_push, broadcast, count))
    queue = broadcast.queue
    assert isinstance(queue, WorkedQueue)
    pushed_at = 0.0
    while time.monotonic() < begun + _MOST_SECONDS:
        await asyncio.sleep(_KILL_EVERY)
        if pushing.done() and not pushed_at:
            pushed_at = time.monotonic() - begun
        if pushing.done() and len(seen) == count and not await asyncio.to_thread(queue.sizes):
            break
        await asyncio.to_thread(workers.kill_one)
    delivered_at = time.monotonic() - begun
    # What killed workers had delivered, and had not said so, comes once more; some engines do not count it.
    await asyncio.sleep(recovery)
    statuses = await asyncio.to_thread(workers.end)
    # What was sent last may still be on its way to the browser.
    await asyncio.sleep(_KILL_EVERY)
    pushed = await pushing
    given_up = queue.failed.count()
    repeats = sum(times - 1 for times in seen.values())
    print(f"pushed      {pushed:>8,} in {pushed_at:.0f} s")
    print(f"delivered   {len(seen):>8,} in {delivered_at:.0f} s")
    print(f"killed      {workers.killed:>8,} workers")
    print(f"duplicates  {repeats:>8,} seen by the browser")
    print(f"given up    {given_up:>8,}")
    print(f"lost        {pushed - len(seen):>8,}", flush=True)
    for failed in queue.failed.list(most=5):
        print(f"given up because {failed.reason}", flush=True)
    problems = []
    if pushed != len(seen) or repeats or given_up:
        problems.append("not every job reached the browser once")
    if any(statuses):
        problems.append(f"workers that were told to end ended with {statuses}")
    return problems


def _push(broadcast: BroadcastManager, count: int) -> int:
    begun = time.monotonic()
    for number in range(count):
        broadcast.send(Job(number=number))
        due = begun + number * _PUSH_SECONDS / count
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
    return count


def _driver(served: Served) -> dict[str, str]:
    return {
        "BROADCAST_DRIVER": "pusher",
        "PUSHER_APP_ID": ID,
        "PUSHER_APP_KEY": KEY,
        "PUSHER_APP_SECRET": SECRET,
        "PUSHER_HOST": "127.0.0.1",
        "PUSHER_PORT": str(served.port),
        "PUSHER_SCHEME": "http",
        "PUSHER_IDEMPOTENT": "1",
    }


def _complaints(logs: Path) -> list[str]:
    """Return what workers complain of that should not be."""
    texts = [log.read_text("utf-8", "replace") for log in logs.iterdir()]
    return [text[-3_000:] for text in texts if "Traceback" in text]


if __name__ == "__main__":
    run(jobs, well="every job reached the browser, and once")
