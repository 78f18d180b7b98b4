"""One client that stops reading: what it costs the server, and whether the others notice."""

from __future__ import annotations

from benchmarks.app import data_of
from benchmarks.load import Clients
from benchmarks.machine import raise_file_limit, two_cores
from benchmarks.peers import WEBSOCKETS, named
from benchmarks.report import Table
from benchmarks.running import Server
from benchmarks.servers import OURS
from benchmarks.usage import files_of, usage_of

__all__ = ["run"]

_CHANNEL = "orders"
_SIZE = 1_000
_HEALTHY = 9
# Less than any buffer on the way: a client that reads is never behind for long.
_AT_ONCE = 200
_SECONDS = 60.0


def run(*, quick: bool) -> list[Table]:
    """Send 20 MB, or 60 MB, past a client that reads nothing of it."""
    raise_file_limit()
    times = 20_000 if quick else 60_000
    servers = named(OURS, WEBSOCKETS)
    with two_cores() as core:
        rows = [_measure(name, server, core, times) for name, server in servers.items()]
    return [
        Table(
            f"slow: {times:,} events of {_SIZE:,} bytes to {_HEALTHY} clients, and to one that never reads",
            (
                "server",
                "sent past it, MB",
                "peak memory + MB",
                "the slow one",
                "events to each of the others",
            ),
            rows,
        )
    ]


def _measure(name: str, server: Server, core: int | None, times: int) -> tuple[str, float, float, str, int]:
    with server(core) as running, Clients() as slow, Clients() as healthy:
        slow.open(running.port, 1, running.script(_CHANNEL), buffer=16_384)
        slow.stall(1)
        healthy.open(running.port, _HEALTHY, running.script(_CHANNEL))
        before, files = usage_of(running.pids), files_of(running.pids)
        for so_far in range(_AT_ONCE, times + 1, _AT_ONCE):
            healthy.wait_for("marks", so_far * _HEALTHY, _SECONDS)
            running.publish(_CHANNEL, [data_of(_SIZE, _CHANNEL) for _ in range(_AT_ONCE)])
            healthy.waited(_SECONDS)
        growth = usage_of(running.pids).peak - before.memory
        fate = "is cut off" if files_of(running.pids) < files else "is kept"
        fewest = healthy.report().fewest
    return name, times * _SIZE / 1e6, growth / 1e6, fate, fewest
