"""One million typed events through the null driver: what each takes, and that nothing accumulates."""

from __future__ import annotations

import gc
import sys
import time

from benchmarks.machine import peak_memory
from benchmarks.report import Table
from benchmarks.samples import order_shipped
from broadcaster import BroadcastManager

__all__ = ["run"]

_WARM_UP = 10_000


def run(*, quick: bool) -> list[Table]:
    """Fire them, each made when it is sent and with a channel of its own."""
    count = 100_000 if quick else 1_000_000
    with BroadcastManager.from_dict({"driver": "null"}) as broadcast:
        _fire(broadcast, _WARM_UP)
        blocks, peak = _blocks(), peak_memory()
        wall, cpu = time.perf_counter(), time.process_time()
        _fire(broadcast, count)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak, blocks = peak_memory() - peak, _blocks() - blocks
    return [
        Table(
            f"million: {count:,} typed events, made and sent through the null driver",
            ("events", "us each", "CPU us each", "events/s", "peak memory + KB", "objects +"),
            [(count, wall / count * 1e6, cpu / count * 1e6, int(count / wall), peak // 1024, blocks)],
        )
    ]


def _fire(broadcast: BroadcastManager, count: int) -> None:
    for number in range(count):
        broadcast.send(order_shipped(number))


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()
