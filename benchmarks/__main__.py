"""The door of the benchmarks: run them all, or those that are named."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import bus, connections, dispatch, drivers, fanout, million, queues, scale, slow
from benchmarks.machine import machine
from benchmarks.report import Benchmark, Table, save, show

BENCHMARKS = [
    Benchmark("million", "a million events through the null driver", million.run),
    Benchmark("dispatch", "what sending one event takes, part by part", dispatch.run),
    Benchmark("drivers", "what drivers do in a second, beside the clients they are built on", drivers.run),
    Benchmark("queues", "what queues take and do, beside their engines used bare", queues.run),
    Benchmark("fanout", "one event to 1,000 subscribers and more", fanout.run, linux=True),
    Benchmark("connections", "handshakes, and the memory of an idle connection", connections.run, linux=True),
    Benchmark("bus", "what it costs that nodes hear each other through Redis", bus.run, linux=True),
    Benchmark("scale", "what each of many connections stands on, Redis included", scale.run, linux=True),
    Benchmark("slow", "a client that stops reading", slow.run, linux=True),
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
        if known[name].linux and sys.platform != "linux":
            print(f"\n{name}: left out, because it needs Linux")
            continue
        tables[name] = known[name].run(quick=wanted.quick)
        for table in tables[name]:
            show(table)
    if wanted.json is not None:
        save(wanted.json, tables)


if __name__ == "__main__":
    main()
