"""Ports for servers that have to be told theirs."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress

# Beneath those that outgoing connections get, one of which might have it meanwhile.
_FIRST, _END, _SHARES = 16_384, 32_768, 8
_given: set[int] = set()


def free_port() -> int:
    """Return a port on which nobody listens, for a server that may end and come back to it.

    Nor will anybody soon: it is given once, and of workers that test side by side each has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    share = range(_FIRST + worker, _END, _SHARES)
    if len(_given) > len(share) // 2:
        _given.clear()
    while True:
        # Not of the numbers that hypothesis makes the same each time.
        port = random.SystemRandom().choice(share)
        if port not in _given:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                _given.add(port)
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
