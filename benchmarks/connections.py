"""Many connections: how fast they open, what each handshake costs, what each one keeps in memory."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.load import Clients
from benchmarks.machine import raise_file_limit, two_cores
from benchmarks.process import ServerProcess, server_command
from benchmarks.report import Table, ratios

__all__ = ["run"]


_WARM_UP = 100


@dataclass(frozen=True, slots=True)
class _Round:
    """What one server did in one repeat."""

    rate: float
    cpu: float
    memory: float


def run(*, quick: bool) -> list[Table]:
    """Open 1,000 connections, or 10,000; each is upgraded, greeted and subscribed to one channel."""
    raise_file_limit()
    repeats, count = (3, 1_000) if quick else (3, 10_000)
    commands = {
        "broadcaster": server_command("broadcaster"),
        "broadcaster, ASGI on uvicorn": server_command("asgi"),
        "websockets": server_command("websockets"),
    }
    rounds: dict[str, list[_Round]] = {name: [] for name in commands}
    with two_cores() as core:
        for _ in range(repeats):
            for name, command in commands.items():
                rounds[name].append(_measure(command, core, count))
    peer = rounds["websockets"]
    return [
        Table(
            f"connections: {count:,} opened and subscribed, 64 at a time",
            ("server", "handshakes/s", "CPU us each", "CPU to peer", "KB each, idle", "KB to peer"),
            [
                (
                    name,
                    int(statistics.median(each.rate for each in found)),
                    statistics.median(each.cpu for each in found),
                    ratios([each.cpu for each in found], [each.cpu for each in peer]),
                    statistics.median(each.memory for each in found),
                    ratios([each.memory for each in found], [each.memory for each in peer]),
                )
                for name, found in rounds.items()
            ],
        )
    ]


def _measure(command: list[str], core: int | None, count: int) -> _Round:
    with ServerProcess(command, core=core) as server, Clients(server.port) as clients:
        clients.subscribe(_WARM_UP)
        before = server.usage()
        seconds = clients.subscribe(count)
        after = server.usage()
    return _Round(
        rate=count / seconds,
        cpu=(after.cpu - before.cpu) / count * 1e6,
        memory=(after.memory - before.memory) / count / 1024,
    )
