"""What sending one event takes, and where it goes: encoding, planning, carrying."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from operator import truediv
from typing import TypeAlias

from blinker import Signal

from benchmarks.report import Cell, Table, ratios
from benchmarks.samples import OrderShipped, order_shipped
from broadcaster import BroadcastManager, Message
from broadcaster.encoding import encode, fields_of

__all__ = ["run"]

Work: TypeAlias = Callable[[], object]
Wait: TypeAlias = Callable[[], Awaitable[None]]

_LOGGER = "broadcaster.log"


def run(*, quick: bool) -> list[Table]:
    """Measure every piece of work in turn, many times over."""
    repeats, count = (31, 1_000) if quick else (101, 2_000)
    with _manager("null") as null, _manager("log") as log, _log_to_nowhere(), asyncio.Runner() as runner:
        event = order_shipped(7)
        works = {**_limits(null, event), **_parts(null, event), **_sends(null, log, event)}
        waits = _asends(null, log, event)
        found = _interleaved(works, waits, runner, repeats=repeats, count=count)
    return [_whole(found), _shares(found)]


def _manager(driver: str) -> BroadcastManager:
    return BroadcastManager.from_dict({"driver": driver})


def _limits(broadcast: BroadcastManager, event: OrderShipped) -> dict[str, Work]:
    """Return what no library can do without, and what others do instead."""
    logger, signal = logging.getLogger(_LOGGER), Signal()
    signal.connect(_heard)
    data = event.model_dump_json()
    return {
        "model_dump_json": event.model_dump_json,
        "model_dump_json, json.dumps": lambda: json.dumps(event.model_dump_json()),
        "Logger.info": lambda: logger.info("%s", data),
        "Signal.send": lambda: signal.send(broadcast, event=event),
    }


def _parts(broadcast: BroadcastManager, event: OrderShipped) -> dict[str, Work]:
    plan = broadcast.dispatcher.plan(event)
    assert plan is not None
    plans, message = [plan], plan.message
    return {
        "make the event": lambda: order_shipped(7),
        "encode": lambda: encode(fields_of(event), root="OrderShipped"),
        "broadcast_on": event.broadcast_on,
        "Message": lambda: Message(message.name, message.channels, message.data),
        "plan": lambda: broadcast.dispatcher.plan(event),
        "carry": lambda: broadcast.dispatcher.carry(plans),
    }


def _sends(null: BroadcastManager, log: BroadcastManager, event: OrderShipped) -> dict[str, Work]:
    return {"send, null": lambda: null.send(event), "send, log": lambda: log.send(event)}


def _asends(null: BroadcastManager, log: BroadcastManager, event: OrderShipped) -> dict[str, Wait]:
    return {"asend, null": lambda: null.asend(event), "asend, log": lambda: log.asend(event)}


def _heard(sender: object, **facts: object) -> None:
    """Hear a signal."""


def _interleaved(
    works: dict[str, Work],
    waits: dict[str, Wait],
    runner: asyncio.Runner,
    *,
    repeats: int,
    count: int,
) -> dict[str, list[float]]:
    """Return the CPU microseconds of each, once for each repeat."""
    found: dict[str, list[float]] = {name: [] for name in (*works, *waits)}
    for _ in range(repeats):
        for name, work in works.items():
            found[name].append(_timed(work, count))
        for name, wait in waits.items():
            found[name].append(runner.run(_awaited(wait, count)))
    return found


def _timed(work: Work, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - start) / count * 1e6


async def _awaited(wait: Wait, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        await wait()
    return (time.process_time() - start) / count * 1e6


def _whole(found: dict[str, list[float]]) -> Table:
    """Compare what a caller waits for with the least that any such library must do."""
    encoding = found["model_dump_json"]
    both = [encoded + logged for encoded, logged in zip(encoding, found["Logger.info"], strict=True)]
    limits = {"null": ("model_dump_json", encoding), "log": ("model_dump_json, Logger.info", both)}
    rows: list[tuple[Cell, ...]] = []
    for driver, (limit, figures) in limits.items():
        rows.append((f"limit of {driver}: {limit}", statistics.median(figures), "1"))
        for verb in ("send", "asend"):
            spent = found[f"{verb}, {driver}"]
            rows.append((f"{verb}, {driver}", statistics.median(spent), ratios(spent, figures)))
    besides = ("model_dump_json, json.dumps", "Signal.send")
    rows += [(f"beside: {name}", statistics.median(found[name]), "") for name in besides]
    return Table("dispatch: one event of five fields", ("what", "CPU us", "to its limit"), rows)


def _shares(found: dict[str, list[float]]) -> Table:
    """Take `send` apart; what is left between the parts is the dispatcher's own work."""
    whole = found["send, null"]
    within = ("encode", "broadcast_on", "Message")
    parts = {
        "encoding: fields_of(), encode()": found["encode"],
        "the event's own broadcast_on()": found["broadcast_on"],
        "the message and its id": found["Message"],
        "the rest of the plan: hooks, names": _rest(found["plan"], *(found[name] for name in within)),
        "carrying it to the driver": found["carry"],
        "the manager around them": _rest(whole, found["plan"], found["carry"]),
        "send, null": whole,
        "before it: making the event": found["make the event"],
    }
    rows = [
        (name, statistics.median(spent), f"{statistics.median(map(truediv, spent, whole)):.0%}")
        for name, spent in parts.items()
    ]
    return Table("dispatch: where `send` to the null driver goes", ("part", "CPU us", "share"), rows)


def _rest(whole: list[float], *parts: list[float]) -> list[float]:
    """Return what *parts* leave of *whole* in each repeat."""
    return [all_of_it - sum(known) for all_of_it, *known in zip(whole, *parts, strict=True)]


@contextmanager
def _log_to_nowhere() -> Iterator[None]:
    """Give the log driver a real handler, whose lines nobody keeps."""
    logger = logging.getLogger(_LOGGER)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - the name is the system's
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
