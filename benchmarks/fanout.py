"""One event to many subscribers: what a delivery costs the server."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.load import Clients
from benchmarks.machine import raise_file_limit, two_cores
from benchmarks.process import ServerProcess, limit_command, server_command
from benchmarks.report import Table, ratios

__all__ = ["run"]

_SIZE = 204
"""Bytes of a frame on the wire: 200 of text and 4 before it."""

_WARM_UP = 5
_SECONDS = 120.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class _Round:
    """What one server did in one repeat: microseconds of CPU for each delivery, deliveries per second."""

    cpu: float
    user: float
    rate: float


def run(*, quick: bool) -> list[Table]:
    """Measure at 1,000 subscribers and, unless it must be quick, at 5,000."""
    raise_file_limit()
    repeats = 3 if quick else 5
    crowds = {1_000: 100} if quick else {1_000: 300, 5_000: 60}
    with two_cores() as core, limit_command() as limit:
        commands = {
            "limit: a loop of send()": limit,
            "broadcaster": server_command("broadcaster"),
            "broadcaster, ASGI on uvicorn": server_command("asgi"),
            "websockets broadcast()": server_command("websockets"),
        }
        return [_table(commands, core, subscribers, times, repeats) for subscribers, times in crowds.items()]


def _table(
    commands: dict[str, list[str]], core: int | None, subscribers: int, times: int, repeats: int
) -> Table:
    rounds: dict[str, list[_Round]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            greeted = name.startswith("limit")
            rounds[name].append(_measure(command, core, subscribers, times, greeted=greeted))
    limit = [each.cpu for each in next(iter(rounds.values()))]
    return Table(
        f"fanout: a frame of {_SIZE} bytes to {subscribers:,} subscribers, {times} times, one each loop turn",
        ("server", "CPU us/delivery", "user us", "deliveries/s", "CPU to the limit"),
        [
            (
                name,
                statistics.median(each.cpu for each in found),
                statistics.median(each.user for each in found),
                int(statistics.median(each.rate for each in found)),
                ratios([each.cpu for each in found], limit),
            )
            for name, found in rounds.items()
        ],
    )


def _measure(command: list[str], core: int | None, subscribers: int, times: int, *, greeted: bool) -> _Round:
    with ServerProcess(command, core=core) as server, Clients(server.port) as clients:
        if greeted:
            clients.connect(subscribers)
        else:
            clients.subscribe(subscribers)
        server.push(_WARM_UP, size=_SIZE)
        clients.receive_frames(_WARM_UP, size=_SIZE, seconds=_SECONDS)
        before = server.usage()
        server.push(times, size=_SIZE)
        seconds = clients.receive(times * _SIZE, seconds=_SECONDS, pause=_PAUSE)
        after = server.usage()
    deliveries = times * subscribers
    return _Round(
        cpu=(after.cpu - before.cpu) / deliveries * 1e6,
        user=(after.user - before.user) / deliveries * 1e6,
        rate=deliveries / seconds,
    )
