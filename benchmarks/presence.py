"""Presence channels: what it costs that a member joins, and that the others are told."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.app import CREDENTIALS
from benchmarks.dialects import pusher_frame, pusher_greeted
from benchmarks.load import Clients
from benchmarks.peers import SOKETI, named
from benchmarks.report import Table
from benchmarks.rounds import Rounds
from benchmarks.running import Running
from benchmarks.servers import OURS, OURS_ON_REDIS
from benchmarks.usage import Spent, usage_of

__all__ = ["run"]

_ROOM = 100
"""As many members as Pusher allows."""


def run(*, quick: bool) -> list[Table]:
    """Fill rooms of a hundred; everyone in a room hears of each who joins it."""
    count = 500 if quick else 2_000

    def measure(server: Running, clients: Clients) -> Spent:
        clients.open(server.port, count, pusher_greeted())
        frames = _joins(clients.ids())
        before = usage_of(server.pids)
        seconds = clients.join(frames, b"subscription_succeeded")
        return Spent(count, usage_of(server.pids) - before, seconds)

    servers = named(OURS, OURS_ON_REDIS) if quick else named(OURS, OURS_ON_REDIS, SOKETI)
    rounds = Rounds[Spent](servers).run(measure, repeats=2 if quick else 3)
    title = f"presence: {count:,} members join channels of {_ROOM}"
    return [rounds.table(title, ("CPU us/join", "joins/s"), _figures, against=OURS)]


def _joins(ids: Sequence[str]) -> list[bytes]:
    frames = []
    for number, socket_id in enumerate(ids):
        channel = f"presence-room.{number // _ROOM}"
        member = json.dumps({"user_id": f"user-{number}", "user_info": {"name": f"User {number}"}})
        auth = CREDENTIALS.channel_auth(socket_id, channel, member)
        frames.append(
            pusher_frame("pusher:subscribe", {"channel": channel, "auth": auth, "channel_data": member})
        )
    return frames


def _figures(found: Spent) -> list[float]:
    return [found.cpu, found.rate]
