"""Ports for servers that have to be told theirs."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port on which nobody listens, for a server that may end and come back to it."""
    while True:
        # Beneath those that outgoing connections get, one of which might have it meanwhile; and not of the
        # numbers that hypothesis makes the same each time.
        port = random.SystemRandom().randrange(16_384, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def free_ports(count: int) -> list[int]:
    """Return *count* such ports, each another one."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return [*ports]


def listens(port: int) -> bool:
    """Whether anybody listens on *port*."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            return True
    except OSError:
        return False
