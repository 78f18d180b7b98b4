"""The door of the benchmarks: run them all, or those that are named."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import (
    api,
    auth,
    bus,
    connections,
    dispatch,
    drivers,
    fanout,
    inbound,
    million,
    presence,
    queues,
    scale,
    slow,
)
from benchmarks.compiled import has_compiler
from benchmarks.machine import machine
from benchmarks.report import Benchmark, Table, save, show

BENCHMARKS = [
    Benchmark("fanout", "one event to many subscribers, bursts, small channels", fanout.run, clients=True),
    Benchmark("connections", "handshakes, memory of an idle connection", connections.run, clients=True),
    Benchmark("presence", "members who join, and are told of each other", presence.run, clients=True),
    Benchmark("inbound", "what clients send: events and pings", inbound.run, clients=True),
    Benchmark("api", "signed requests to the HTTP API", api.run, clients=True),
    Benchmark("slow", "a client that stops reading", slow.run, clients=True),
    Benchmark("scale", "what each of many connections stands on, Redis included", scale.run, clients=True),
    Benchmark("bus", "what it costs that nodes hear each other through Redis", bus.run),
    Benchmark("dispatch", "what sending one event takes, part by part", dispatch.run),
    Benchmark("million", "a million events through the null driver", million.run),
    Benchmark("auth", "what Echo asks before it joins a private channel", auth.run),
    Benchmark("drivers", "what drivers do in a second, beside the clients they are built on", drivers.run),
    Benchmark("queues", "what queues take and do, beside their engines used bare", queues.run),
]


def main() -> None:
    """Run what is wanted, and print its tables."""
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    about = "\n".join(f"  {benchmark.name:<12}  {benchmark.about}" for benchmark in BENCHMARKS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measure broadcaster, beside the limit and its peers:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="name", help="some of these; otherwise all")
    parser.add_argument("--quick", action="store_true", help="fewer events, connections and repeats")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE, too")
    wanted = parser.parse_args()
    if unknown := [name for name in wanted.names if name not in known]:
        parser.error(f"no benchmark is named {unknown[0]!r}; there are {', '.join(known)}")
    for name, fact in machine().items():
        print(f"{name + ':':<10} {fact}")
    tables: dict[str, list[Table]] = {}
    for name in wanted.names or known:
        if known[name].clients and not (sys.platform == "linux" and has_compiler()):
            print(f"\n{name}: left out, because its clients need Linux and a C compiler")
            continue
        tables[name] = known[name].run(quick=wanted.quick)
        for table in tables[name]:
            show(table)
    if wanted.json is not None:
        save(wanted.json, tables)


if __name__ == "__main__":
    main()
