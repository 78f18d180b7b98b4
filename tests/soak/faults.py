"""Thousands of clients on three nodes, and every minute something breaks: what is lost, and for how long?

Run `python -m tests.soak.faults [--minutes 10] [--clients 2000] [--every 60] [--json FILE]`; it prints
figures, and ends with 1 where one that has to be 0 is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

from benchmarks.report import show

from broadcaster.server.lifecycle import new_event_loop
from tests.soak.accounts import Window
from tests.soak.crowd import EVERYBODY, Crowd
from tests.soak.findings import Findings, Struck
from tests.soak.group import Group
from tests.soak.stream import Stream

_LEASE = 10.0
"""Seconds after which a node that is gone has lost its members."""
_SECONDS = 60.0
"""No recovery takes longer."""
_DELIVERY = 3.0
"""Within so many seconds what is sent is delivered."""
_LOOK = 0.02
"""Seconds between two looks at something that is waited for."""
_TOLD = 50
"""Mistakes and problems that are printed."""

_Condition: TypeAlias = Callable[[], bool | Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Fault:
    """Something that *breaks*, and is *mended* so many *seconds* later."""

    name: str
    breaks: Callable[[Group, int], None]
    mends: Callable[[Group, int], None]
    seconds: float = 0.0


_FAULTS = (
    _Fault("kill -9 of a node", Group.kill, Group.start, 5.0),
    _Fault("Redis restart", Group.stop_redis, Group.start_redis, 2.0),
    _Fault("partition, cut", Group.cut, Group.mend, 10.0),
    _Fault("drain", Group.drain, Group.start),
    _Fault("kill -9 of a node", Group.kill, Group.start, 5.0),
    _Fault("Redis restart", Group.stop_redis, Group.start_redis, 2.0),
    _Fault("partition, silent", Group.silence, Group.resume, 10.0),
    _Fault("drain", Group.drain, Group.start),
)


class _Story:
    """The story of one run."""

    def __init__(self, group: Group, crowd: Crowd, stream: Stream) -> None:
        self._group, self._crowd, self._stream = group, crowd, stream
        self._struck: list[Struck] = []
        self._wrong: list[str] = []
        self._problems: list[str] = []

    async def play(self, minutes: float, every: float) -> None:
        """Let the crowd come, and something break *every* so many seconds."""
        self._crowd.invite()
        await self._reach("every client is on its channels", lambda: self._crowd.is_complete)
        await self._reach("every list of members is right", self._lists_are_right)
        over = asyncio.Event()
        streaming = asyncio.create_task(self._stream.run(over))
        started = time.monotonic()
        ends = started + minutes * 60
        print(f"{len(self._crowd.records):,} clients are there", flush=True)
        for number, fault in enumerate(cycle(_FAULTS), 1):
            # What is sent in the last seconds before a fault belongs to it; some has to be sent before them.
            due = max(started + number * every, time.monotonic() + 2 * _DELIVERY)
            if due + every / 2 > ends:
                break
            await asyncio.sleep(due - time.monotonic())
            self._wrong += self._crowd.wrong_lists()
            self._struck.append(await self._strike(fault))
            print(fault.name, *self._struck[-1].times, flush=True)
        await asyncio.sleep(ends - time.monotonic())
        over.set()
        await streaming
        await asyncio.sleep(_DELIVERY)
        self._wrong += self._crowd.wrong_lists()

    def findings(self) -> Findings:
        """Return what it came to; the nodes have ended."""
        group, crowd, stream = self._group, self._crowd, self._stream
        exits = [f"a node ended with {code} when it was told to" for code in group.exits if code != 0]
        traces = [group.said[-3_000:]] if "Traceback" in group.said else []
        return Findings.of(
            self._struck,
            stream.sent,
            crowd.records,
            seconds=_DELIVERY,
            mistakes=[*crowd.mistakes, *self._wrong],
            problems=[*self._problems, *crowd.problems, *stream.problems, *exits, *traces],
        )

    async def _strike(self, fault: _Fault) -> Struck:
        """Let something break; return when all had recovered, and how long what took."""
        group, crowd = self._group, self._crowd
        node = crowd.busiest()
        start = time.monotonic()
        await asyncio.to_thread(fault.breaks, group, node)
        # Nobody may stay behind, and who comes now, on a node that is cut off for instance, has to be seen.
        await crowd.dismiss()
        crowd.invite(only_half=True)
        await asyncio.sleep(start + fault.seconds - time.monotonic())
        await asyncio.to_thread(fault.mends, group, node)
        ready = await self._reach("every node hears the others", group.is_ready)
        await self._reach("every client is on its channels again", lambda: crowd.is_complete)
        whole = await self._probe()
        lists = await self._reach(
            "every list of members is right", self._lists_are_right, seconds=_LEASE + _DELIVERY
        )
        crowd.invite()
        await self._reach("every visitor is back", lambda: crowd.is_complete)
        await self._reach("every list of members has the visitors", self._lists_are_right)
        window = Window(start, whole)
        first, last = window.recovery(crowd.records) or (None, None)
        return Struck(fault.name, window, first, last, ready - start, whole - start, lists - start)

    async def _probe(self) -> float:
        """Send by way of each node until everybody has heard all of that; return when that was."""
        ends = time.monotonic() + _SECONDS
        while time.monotonic() < ends:
            posts = [self._stream.post(EVERYBODY, port) for port in self._group.ports]
            heard = partial(self._crowd.have_heard, set(await asyncio.gather(*posts)))
            if await _wait(heard, seconds=_DELIVERY):
                return time.monotonic()
        self._problems.append(f"not within {_SECONDS:.0f} seconds: every client hears every node")
        return time.monotonic()

    async def _reach(self, what: str, condition: _Condition, *, seconds: float = _SECONDS) -> float:
        """Return when *what* is so; that it is not in time is a problem."""
        if not await _wait(condition, seconds=seconds):
            self._problems.append(f"not within {seconds:.0f} seconds: {what}")
            self._wrong += self._crowd.wrong_lists()
        return time.monotonic()

    def _lists_are_right(self) -> bool:
        return not self._crowd.wrong_lists()


async def _wait(condition: _Condition, *, seconds: float) -> bool:
    """Wait until *condition* holds, and return whether it does within *seconds*."""
    ends = time.monotonic() + seconds
    while True:
        found = condition()
        if await found if isawaitable(found) else found:
            return True
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(_LOOK)


async def _run(asked: argparse.Namespace) -> Findings:
    """Do what is *asked*."""
    with tempfile.TemporaryDirectory() as folder, Group(Path(folder)) as group:
        crowd = Crowd(asked.clients, group.ports)
        stream = Stream(group.ports, crowd.channels)
        story = _Story(group, crowd, stream)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, about: crowd.problems.append(f"{about['message']}: {about.get('exception')!r}")
        )
        started = time.monotonic(), time.process_time()
        async with crowd:
            await story.play(asked.minutes, asked.every)
        taken, cpu = time.monotonic() - started[0], time.process_time() - started[1]
        print(
            f"{len(crowd.records):,} clients, {len(group.ports)} nodes, {taken / 60:.1f} minutes; "
            f"the crowd took {cpu / taken:.0%} of a core; {stream.again} posts were made again"
        )
    return story.findings()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=2_000)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from fault to fault")
    parser.add_argument("--json", type=Path, help="where to write the figures besides")
    return parser.parse_args()


def main() -> None:
    """Run it, and end the process."""
    asked = _asked()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        findings = runner.run(_run(asked))
    for table in findings.tables:
        show(table)
    if asked.json is not None:
        asked.json.write_text(json.dumps(findings.json, indent=1), "utf-8")
    for trouble in (*findings.mistakes, *findings.problems)[:_TOLD]:
        print(trouble)
    sys.exit(not findings.is_well)


if __name__ == "__main__":
    main()
