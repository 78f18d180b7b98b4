"""One client that stops reading: what it costs the server, and whether the others notice."""

from __future__ import annotations

from benchmarks.load import Clients
from benchmarks.machine import raise_file_limit, two_cores
from benchmarks.process import ServerProcess, server_command
from benchmarks.report import Table

__all__ = ["run"]

_SIZE = 1_000
_HEALTHY = 9
# Less than any buffer on the way: a client that reads is never behind for long.
_AT_ONCE = 200
_SECONDS = 60.0


def run(*, quick: bool) -> list[Table]:
    """Send 20 MB, or 60 MB, past a client that reads nothing of it."""
    raise_file_limit()
    times = 20_000 if quick else 60_000
    with two_cores() as core:
        rows = [_measure(name, core, times) for name in ("broadcaster", "websockets")]
    return [
        Table(
            f"slow: {times:,} frames of {_SIZE:,} bytes to {_HEALTHY} clients, and to one that never reads",
            (
                "server",
                "sent past it, MB",
                "peak memory + MB",
                "the slow one",
                "frames to each of the others",
            ),
            rows,
        )
    ]


def _measure(name: str, core: int | None, times: int) -> tuple[str, float, float, str, int]:
    command = server_command(name)
    with (
        ServerProcess(command, core=core) as server,
        Clients(server.port) as slow,
        Clients(server.port) as healthy,
    ):
        slow.subscribe(1, receive_buffer=16_384)
        healthy.subscribe(_HEALTHY)
        before = server.usage()
        for _ in range(times // _AT_ONCE):
            server.push(_AT_ONCE, size=_SIZE)
            healthy.receive(_AT_ONCE * _SIZE, seconds=_SECONDS)
        after = server.usage()
    fate = "is cut off" if after.connections < before.connections else "is kept"
    return name, times * _SIZE / 1e6, (after.peak - before.memory) / 1e6, fate, times
