"""`broadcaster serve --workers`: the process that keeps the others running."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from broadcaster.errors import ConfigurationError
from broadcaster.server.listening import bind
from broadcaster.server.pid_file import PidFile, Restart, usual_pid_file
from broadcaster.server.supervisor import Supervisor
from broadcaster.server.workers import Place

__all__ = ["Ports", "supervise"]


_logger = logging.getLogger("broadcaster.server")


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


def supervise(
    ports: Ports, *, pid_file: Path | None, grace: float, drain: float, say: Callable[[str], None]
) -> None:
    """Run this same command in as many workers until SIGINT or SIGTERM.

    Where they are to be found is written to *pid_file*, or to the usual one.
    """
    if sys.platform == "win32":
        raise ConfigurationError("workers share sockets, which Windows cannot: leave out --workers")
    command = [sys.executable, "-m", "broadcaster", *sys.argv[1:]]
    places = ports.bind()
    held = _hold(pid_file, int(places[0].port[0].getsockname()[1]))
    supervisor = Supervisor(command, places, grace=grace, drain=drain)

    def ready(lines: list[str]) -> None:
        if held is not None:
            held.write(Restart())
        for line in lines:
            say(line)

    def report(restart: Restart) -> None:
        say(restart.said)
        if held is not None:
            held.write(restart)

    try:
        asyncio.run(supervisor.run(ready, report))
    finally:
        if held is not None:
            held.remove()
    say("stopped")


def _hold(pid_file: Path | None, port: int) -> PidFile | None:
    if pid_file is not None:
        return PidFile(pid_file)
    try:
        return PidFile(usual_pid_file(port))
    except ConfigurationError as error:
        # Nobody asked for it: all that is lost without it is a command.
        _logger.warning("`broadcaster restart` will not find this server: %s", error)
        return None
