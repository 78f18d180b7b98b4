"""`broadcaster serve --workers`: the process that keeps the others running."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from broadcaster.errors import ConfigurationError
from broadcaster.server.listening import bind
from broadcaster.server.supervisor import Supervisor
from broadcaster.server.workers import Place

__all__ = ["Ports", "supervise"]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where *count* workers listen: together at *host* and *port*, each alone at a port for its metrics."""

    count: int
    host: str
    port: int
    metrics_host: str
    metrics_port: int | None

    def bind(self) -> list[Place]:
        """Bind the sockets of all; raise `ConfigurationError` when an address cannot be had."""
        shared = bind(self.host, self.port, count=self.count)
        return [Place(number, port, self._metrics(number)) for number, port in enumerate(shared, 1)]

    def _metrics(self, number: int) -> Sequence[socket.socket]:
        if self.metrics_port is None:
            return ()
        port = self.metrics_port and self.metrics_port + number - 1
        if port > 65_535:
            raise ConfigurationError(f"there is no port {port} for the metrics of worker {number}")
        return bind(self.metrics_host, port)[0]


def supervise(ports: Ports, *, grace: float, drain: float, say: Callable[[str], None]) -> None:
    """Run this same command in as many workers until SIGINT or SIGTERM."""
    if sys.platform == "win32":
        raise ConfigurationError("workers share sockets, which Windows cannot: leave out --workers")
    command = [sys.executable, "-m", "broadcaster", *sys.argv[1:]]
    supervisor = Supervisor(command, ports.bind(), grace=grace, drain=drain)

    def ready(lines: list[str]) -> None:
        for line in lines:
            say(line)

    asyncio.run(supervisor.run(ready))
    say("stopped")
