import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from broadcaster import ConfigurationError
from broadcaster.server.pid_file import Restart
from broadcaster.server.supervisor import Supervisor
from broadcaster.server.workers import Place
from tests.waits import auntil

BEGIN = """
import os, signal, sys, time
from broadcaster.server.supervision import Supervision
me = Supervision.inherited()
"""
STEADY = "me.say(listening=[str(os.getpid())], ready=True); signal.pause()"


def supervisor_of(*programs: str, grace: float = 5.0, patience: float = 5.0) -> Supervisor:
    """Return a supervisor of workers, the first of which runs the first of the *programs*."""
    choice = f"exec({list(programs)!r}[me.number - 1])"
    places = [Place(number, []) for number in range(1, len(programs) + 1)]
    command = [sys.executable, "-c", BEGIN + choice]
    return Supervisor(command, places, grace=grace, drain=1.0, patience=patience)


@asynccontextmanager
async def running(
    supervisor: Supervisor, report: Callable[[Restart], None] = print
) -> AsyncIterator[list[str]]:
    """Run workers until a signal comes; give what they say when all of them listen."""
    lines: list[str] = []
    task = asyncio.create_task(supervisor.run(lines.extend, report))
    try:
        await auntil(lambda: lines or task.done())
        yield lines
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await task


def lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_it_tells_what_the_workers_say_each_line_once() -> None:
    program = "me.say(listening=['here', str(me.number)]); signal.pause()"

    async with running(supervisor_of(program, program)) as lines:
        pass

    assert lines == ["here", "1", "2"]


async def test_workers_end_with_it() -> None:
    async with running(supervisor_of(STEADY, STEADY)) as lines:
        pids = [int(line) for line in lines]
        assert all(map(lives, pids))

    assert not any(map(lives, pids))


async def test_a_worker_that_cannot_start_ends_everything_with_its_own_reason() -> None:
    fails = "me.say(failed='no such thing'); sys.exit(1)"

    with pytest.raises(ConfigurationError, match=r"^no such thing$"):
        await supervisor_of(STEADY, fails).run(print, print)


async def test_so_does_one_that_says_nothing() -> None:
    with pytest.raises(ConfigurationError, match=r"^worker 1 has ended with status 3$"):
        await supervisor_of("sys.exit(3)", STEADY).run(print, print)


async def test_a_worker_that_ends_is_started_again_and_again_after_longer_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends = "me.say(listening=['x']); os.kill(os.getpid(), signal.SIGKILL)"

    async with running(supervisor_of(ends, STEADY)):
        await auntil(lambda: len(caplog.messages) == 3)

    said = [f"worker 1 was ended by SIGKILL; the next one starts in {pause} s" for pause in (0.1, 0.2, 0.4)]
    assert caplog.messages == said


async def test_a_worker_that_does_not_end_is_killed_after_the_grace_period(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); me.say(listening=[str(os.getpid())])"
    stubborn += "\nwhile True: signal.pause()"

    async with running(supervisor_of(stubborn, grace=0.1)) as [pid]:
        pass

    assert not lives(int(pid))
    assert "workers killed, which had not ended after the grace period: 1" in caplog.text


async def test_a_signal_that_comes_while_workers_start_ends_them() -> None:
    task = asyncio.create_task((supervisor := supervisor_of("signal.pause()")).run(print, print))
    await auntil(lambda: supervisor._running)

    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(30):
        await task


async def test_a_worker_that_does_not_hear_the_others_replaces_nobody() -> None:
    deaf = "me.say(listening=[str(os.getpid())]); me.line.recv(99) and sys.exit()"
    reports: list[Restart] = []

    async with running(supervisor_of(deaf, STEADY, patience=4), reports.append) as lines:
        os.kill(os.getpid(), signal.SIGUSR2)
        await auntil(lambda: len(reports) == 2)

        assert all(lives(int(line)) for line in lines)

    assert [report.state for report in reports] == ["running", "failed"]
    assert reports[1].said == (
        "worker 1 does not hear the other nodes after 4 seconds; what ran before goes on"
    )
