"""Other servers that carry one event to many: how each is got, run, subscribed to and published on."""

from __future__ import annotations

from benchmarks.peers import bare
from benchmarks.running import Server

__all__ = ["INSTALLED", "PEERS"]

INSTALLED: dict[str, Server] = bare.INSTALLED
"""Those whose packages this project's own tests need anyway."""

PEERS: dict[str, Server] = {**INSTALLED}
"""All of them."""
