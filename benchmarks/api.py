"""The HTTP API: how many signed requests a server takes in a second, and what each costs it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.app import CHANNEL, EVENT, data_of
from benchmarks.compiled import compiled
from benchmarks.load import Clients
from benchmarks.peers import SOKETI, STARLETTE, named
from benchmarks.publishers import signed_post
from benchmarks.report import Table
from benchmarks.rounds import Rounds
from benchmarks.running import Running
from benchmarks.servers import ASGI, OURS
from benchmarks.usage import Usage, usage_of

__all__ = ["run"]

_MOST_PER_SECOND = 30_000
_SECONDS = 60.0
_COLUMNS = ("CPU us/request", "requests/s", "p50 ms", "p99 ms")


@dataclass(frozen=True, slots=True)
class _Found:
    """What was answered in some seconds, and how late, in microseconds."""

    used: Usage
    answered: int
    refused: int
    seconds: float
    p50: int
    p99: int


def run(*, quick: bool) -> list[Table]:
    """Post events to a channel that nobody is on, over one connection and over sixteen."""
    repeats, seconds = (2, 0.5) if quick else (3, 2.0)
    servers = named(OURS, STARLETTE) if quick else named(OURS, STARLETTE, ASGI, SOKETI)
    tables = []
    for connections in (1, 16):

        def measure(server: Running, _: Clients, connections: int = connections) -> _Found:
            return _posted(server, connections, seconds)

        title = f"api: signed POSTs of one event, {connections} at a time"
        rounds = Rounds[_Found](servers).run(measure, repeats=repeats)
        tables.append(rounds.table(title, _COLUMNS, _figures, against=OURS))
    return tables


def _posted(server: Running, connections: int, seconds: float) -> _Found:
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(int(_MOST_PER_SECOND * seconds)):
            # None is a repeat of another: a server may refuse those.
            request = signed_post("events", {"name": EVENT, "channel": CHANNEL, "data": data_of()})
            file.write(len(request).to_bytes(4, "little") + request)
        file.flush()
        before = usage_of(server.pids)
        answer = _run(server.port, connections, seconds, Path(file.name))
        used = usage_of(server.pids) - before
    found = _Found(used, **answer)
    if found.refused:
        raise AssertionError(f"{found.refused} of {found.answered + found.refused} requests were refused")
    return found


def _run(port: int, connections: int, seconds: float, requests: Path) -> dict[str, int]:
    command = [compiled("posts"), str(port), str(connections), str(seconds), str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    answer: dict[str, int] = json.loads(done.stdout)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def _figures(found: _Found) -> list[float]:
    return [
        found.used.cpu / found.answered * 1e6,
        round(found.answered / found.seconds),
        found.p50 / 1e3,
        found.p99 / 1e3,
    ]
