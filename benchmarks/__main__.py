"""The door of the benchmarks: run them all, or those that are named."""

from __future__ import annotations

import argparse
import signal
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
from benchmarks.pages import pages, written
from benchmarks.report import Benchmark, show
from benchmarks.results import Result, load, save

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

_RESULTS = Path("benchmarks/results.json")


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
    parser.add_argument(
        "--save", type=Path, metavar="DOCS", help="and to DOCS/benchmarks, plots, pages, README"
    )
    wanted = parser.parse_args()
    # An end from outside ends the servers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if unknown := [name for name in wanted.names if name not in known]:
        parser.error(f"no benchmark is named {unknown[0]!r}; there are {', '.join(known)}")
    for name, fact in machine().items():
        print(f"{name + ':':<10} {fact}")
    files = [file for file in (wanted.json, wanted.save and wanted.save / _RESULTS) if file]
    for name in wanted.names or known:
        if known[name].clients and not (sys.platform == "linux" and has_compiler()):
            print(f"\n{name}: left out, because its clients need Linux and a C compiler")
            continue
        tables = known[name].run(quick=wanted.quick)
        for table in tables:
            show(table)
        # Now, not in the end: a run takes long, and may be cut short.
        for file in files:
            save(file, {name: Result(machine(), tables)})
    if wanted.save is not None:
        publish(wanted.save)


def publish(docs: Path) -> None:
    """Draw the results in *docs*, and write the tables of the pages."""
    # An environment without matplotlib can measure as well.
    from benchmarks.plots import draw

    results = load(docs / _RESULTS)
    draw((docs / _RESULTS).parent, results)
    for page in pages(docs):
        page.write_text(written(page.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
