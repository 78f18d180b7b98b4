"""One event to many subscribers: what a delivery costs the whole server, from the event's coming in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.app import data_of
from benchmarks.load import Clients, Report
from benchmarks.peers import INSTALLED, PEERS, named
from benchmarks.report import Table
from benchmarks.rounds import Rounds
from benchmarks.running import Running, Server
from benchmarks.servers import ASGI, JOINED, LIMIT, OURS, OURS_ON_REDIS, TWO_NODES
from benchmarks.usage import Usage, usage_of

__all__ = ["run"]

_WARM_UP = 5
_SECONDS = 60.0
_AT_MOST_SECONDS = 3.0
_BURST = 100
_PER_SECOND = 10

_COLUMNS = ("CPU us/delivery", "user us", "deliveries/s", "p50 ms", "p99 ms")


def run(*, quick: bool) -> list[Table]:
    """Measure single events, bursts, a moderate rate and small channels."""
    repeats = 2 if quick else 3
    ours = named(LIMIT, OURS, OURS_ON_REDIS, TWO_NODES)
    others = {**ours, **named(ASGI), **PEERS}
    if quick:
        return [
            one_by_one(ours | INSTALLED, 1_000, 100, repeats=repeats),
            bursts(named(LIMIT, JOINED, OURS, OURS_ON_REDIS), 1_000, 2, repeats=1),
            steady(named(LIMIT, OURS), 1_000, 1.5, repeats=1),
            small_channels(named(LIMIT, OURS, OURS_ON_REDIS), 200, repeats=1),
        ]
    return [
        one_by_one(others, 1_000, 300, repeats=repeats),
        one_by_one(others, 5_000, 60, repeats=repeats),
        bursts(named(JOINED) | others, 1_000, 5, repeats=repeats),
        steady(others, 1_000, 3.0, repeats=repeats),
        small_channels(others, 1_000, repeats=repeats),
    ]


@dataclass(frozen=True, slots=True)
class Found:
    """What deliveries took: CPU in seconds, the time from the first event to the last delivery, delays."""

    used: Usage
    seconds: float
    report: Report


def one_by_one(servers: Mapping[str, Server], subscribers: int, times: int, *, repeats: int) -> Table:
    """Send each event when the last one has reached all."""

    def measure(server: Running, clients: Clients) -> Found:
        channel = _channel(0, subscribers)
        clients.open(server.port, subscribers, server.script(channel))
        return _paced(server, clients, [(channel, subscribers)] * times)

    title = f"fanout: {times} events to {subscribers:,} subscribers, one after another"
    return _table(title, Rounds[Found](servers).run(measure, repeats=repeats))


def bursts(servers: Mapping[str, Server], subscribers: int, times: int, *, repeats: int) -> Table:
    """Send many events at once, and again when all have reached all."""

    def measure(server: Running, clients: Clients) -> Found:
        channel = _channel(0, subscribers)
        clients.open(server.port, subscribers, server.script(channel))
        return _paced(server, clients, [(channel, subscribers)] * times, at_once=_BURST)

    title = f"burst: {_BURST} events at once to {subscribers:,} subscribers"
    return _table(title, Rounds[Found](servers).run(measure, repeats=repeats))


def small_channels(servers: Mapping[str, Server], channels: int, *, repeats: int) -> Table:
    """Send one event to each of many channels with five subscribers, one after another."""

    def measure(server: Running, clients: Clients) -> Found:
        names = [_channel(5 * number, 5) for number in range(channels)]
        for name in names:
            clients.open(server.port, 5, server.script(name))
        return _paced(server, clients, [(name, 5) for name in names])

    title = f"channels: one event to each of {channels:,} channels with five subscribers"
    return _table(title, Rounds[Found](servers).run(measure, repeats=repeats))


def steady(servers: Mapping[str, Server], subscribers: int, seconds: float, *, repeats: int) -> Table:
    """Send a few events each second, as the clock says."""

    def measure(server: Running, clients: Clients) -> Found:
        channel, times = _channel(0, subscribers), int(seconds * _PER_SECOND)
        clients.open(server.port, subscribers, server.script(channel))
        _paced(server, clients, [(channel, subscribers)] * _WARM_UP)
        before, start = usage_of(server.pids), time.perf_counter()
        clients.wait_for("marks", times * subscribers, _SECONDS)
        for number in range(times):
            time.sleep(max(0.0, start + number / _PER_SECOND - time.perf_counter()))
            server.publish(channel, [data_of(channel=channel)])
        clients.waited(_SECONDS)
        seconds_taken = time.perf_counter() - start
        return Found(usage_of(server.pids) - before, seconds_taken, clients.report())

    title = f"steady: {_PER_SECOND} events a second to {subscribers:,} subscribers"
    return _table(title, Rounds[Found](servers).run(measure, repeats=repeats))


def _channel(first: int, count: int) -> str:
    return f"orders.{first}.{count}"


def _paced(server: Running, clients: Clients, events: list[tuple[str, int]], *, at_once: int = 1) -> Found:
    """Send *events* one after another, each *at_once* times, until all have come or it has taken too long."""
    for channel, subscribers in events[:_WARM_UP]:
        _deliver(server, clients, channel, subscribers, 1)
        clients.report()
    before, start, expected = usage_of(server.pids), time.perf_counter(), 0
    for channel, subscribers in events:
        expected += subscribers * at_once
        _deliver(server, clients, channel, expected, at_once)
        if time.perf_counter() - start > _AT_MOST_SECONDS:
            break
    used, seconds = usage_of(server.pids) - before, time.perf_counter() - start
    report = clients.report()
    if report.marks != expected:
        raise AssertionError(f"the clients got {report} instead of {expected} events")
    return Found(used, seconds, report)


def _deliver(server: Running, clients: Clients, channel: str, expected: int, at_once: int) -> None:
    clients.wait_for("marks", expected, _SECONDS)
    server.publish(channel, [data_of(channel=channel) for _ in range(at_once)])
    clients.waited(_SECONDS)


def _table(title: str, rounds: Rounds[Found]) -> Table:
    def figures(found: Found) -> list[float]:
        marks = found.report.marks
        return [
            found.used.cpu / marks * 1e6,
            found.used.user / marks * 1e6,
            round(marks / found.seconds),
            found.report.p50 / 1e3,
            found.report.p99 / 1e3,
        ]

    return rounds.table(title, _COLUMNS, figures, against=LIMIT)
