"""Other servers that carry one event to many: how each is got, run, subscribed to and published on."""

from __future__ import annotations

from benchmarks.peers import bare, programs
from benchmarks.running import Server

__all__ = ["INSTALLED", "PEERS"]

INSTALLED: dict[str, Server] = bare.INSTALLED
"""Those that need nothing which is not here."""

PEERS: dict[str, Server] = {**programs.OTHERS, **INSTALLED, **bare.OTHERS}
"""All of them."""
