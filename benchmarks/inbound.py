"""What clients send: events for each other, and pings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.app import CREDENTIALS
from benchmarks.dialects import pusher_frame, pusher_greeted
from benchmarks.load import Clients, Report
from benchmarks.peers import SOKETI, named
from benchmarks.report import Table
from benchmarks.rounds import Rounds
from benchmarks.running import Running
from benchmarks.servers import OURS
from benchmarks.usage import Usage, usage_of

__all__ = ["run"]

_CLIENTS = 100
_COLUMNS = ("CPU us each", "each second", "p50 ms", "p99 ms")


@dataclass(frozen=True, slots=True)
class _Found:
    """What was heard in some seconds."""

    used: Usage
    seconds: float
    report: Report


def run(*, quick: bool) -> list[Table]:
    """Have pairs of clients answer each other's events, and then the server their pings."""
    seconds, repeats = (1.0, 2) if quick else (2.0, 3)
    servers = named(OURS) if quick else named(OURS, SOKETI)

    def events(server: Running, clients: Clients) -> _Found:
        clients.open(server.port, _CLIENTS, pusher_greeted())
        clients.join(_joins(clients.ids()), b"subscription_succeeded")
        said = [
            pusher_frame("client-typing", {"name": "Ann", "at": number}, _channel(number))
            for number in range(_CLIENTS)
        ]
        return _looped(server, clients, said, seconds, every=2)

    def pings(server: Running, clients: Clients) -> _Found:
        clients.open(server.port, _CLIENTS, pusher_greeted())
        return _looped(server, clients, [pusher_frame("pusher:ping", {})], seconds, every=1)

    answered = Rounds[_Found](servers).run(events, repeats=repeats)
    ponged = Rounds[_Found](servers).run(pings, repeats=repeats)
    pairs = f"{_CLIENTS // 2} pairs of clients"
    return [
        answered.table(f"client events: {pairs}, each answers the other", _COLUMNS, _figures, against=OURS),
        ponged.table(f"pings: {_CLIENTS} clients, one after another", _COLUMNS, _figures, against=OURS),
    ]


def _channel(number: int) -> str:
    return f"private-pair.{number // 2}"


def _joins(ids: Sequence[str]) -> list[bytes]:
    frames = []
    for number, socket_id in enumerate(ids):
        channel = _channel(number)
        auth = CREDENTIALS.channel_auth(socket_id, channel)
        frames.append(pusher_frame("pusher:subscribe", {"channel": channel, "auth": auth}))
    return frames


def _looped(
    server: Running, clients: Clients, frames: Sequence[bytes], seconds: float, *, every: int
) -> _Found:
    clients.report()
    before = usage_of(server.pids)
    taken = clients.loop(frames, seconds=seconds, every=every)
    return _Found(usage_of(server.pids) - before, taken, clients.report())


def _figures(found: _Found) -> list[float]:
    frames = found.report.frames
    return [
        found.used.cpu / frames * 1e6,
        round(frames / found.seconds),
        found.report.p50 / 1e3,
        found.report.p99 / 1e3,
    ]
