"""Other servers that carry one event to many: how each is got, run, subscribed to and published on."""

from __future__ import annotations

from benchmarks.peers import bare, programs
from benchmarks.running import Server
from benchmarks.servers import SERVERS

__all__ = ["INSTALLED", "PEERS", "SOKETI", "STARLETTE", "WEBSOCKETS", "named"]

SOKETI, STARLETTE, WEBSOCKETS = programs.SOKETI, bare.STARLETTE, bare.WEBSOCKETS

INSTALLED: dict[str, Server] = bare.INSTALLED
"""Those that need nothing which is not here."""

PEERS: dict[str, Server] = {**programs.OTHERS, **INSTALLED, **bare.OTHERS}
"""All of them."""


def named(*names: str) -> dict[str, Server]:
    """Return some servers: ours, the limit, peers."""
    every = {**SERVERS, **PEERS}
    return {name: every[name] for name in names}
