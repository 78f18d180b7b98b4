"""Many connections: how fast they open, what each handshake costs, what each one keeps in memory."""

from __future__ import annotations

from benchmarks.app import CHANNEL
from benchmarks.load import Clients
from benchmarks.peers import INSTALLED, PEERS, WEBSOCKETS, named
from benchmarks.report import Table
from benchmarks.rounds import Rounds
from benchmarks.running import Running
from benchmarks.servers import ASGI, LIMIT, OURS
from benchmarks.usage import Spent, usage_of

__all__ = ["run"]

_WARM_UP = 100


def run(*, quick: bool) -> list[Table]:
    """Open 1,000 connections, or 10,000; each is upgraded and subscribed to one channel."""
    count = 1_000 if quick else 10_000
    ours = named(LIMIT, OURS, ASGI)

    def measure(server: Running, clients: Clients) -> Spent:
        script = server.script(f"{CHANNEL}.0.{count}")
        clients.open(server.port, _WARM_UP, script)
        before = usage_of(server.pids)
        seconds = clients.open(server.port, count, script)
        return Spent(count, usage_of(server.pids) - before, seconds)

    rounds = Rounds[Spent](ours | (INSTALLED if quick else PEERS)).run(measure, repeats=2 if quick else 3)
    title = f"connections: {count:,} opened and subscribed, 64 at a time"
    columns = ("CPU us each", "KB each, idle", "opened/s")
    return [rounds.table(title, columns, _figures, against=WEBSOCKETS)]


def _figures(found: Spent) -> list[float]:
    return [
        found.cpu,
        found.used.memory / found.count / 1024,
        found.rate,
    ]
