"""What waits to be sent to each connection: in C where that part was built, else in Python.

`BROADCAST_PURE_PYTHON=1` leaves the C part alone.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from broadcaster.protocol.subscribers import Audience

if TYPE_CHECKING:
    from broadcaster.server._outbox import Crowd, Flusher, Outbox

    ACCELERATED = True
else:
    try:
        if os.environ.get("BROADCAST_PURE_PYTHON") == "1":
            raise ImportError("the C part is not wanted")
        from broadcaster.server._outbox import Crowd, Flusher, Outbox
    except ImportError:
        from broadcaster.server._pure_outbox import Crowd, Flusher, Outbox

        ACCELERATED = False
    else:
        ACCELERATED = True

__all__ = ["ACCELERATED", "Crowd", "Flusher", "Outbox", "gather", "outbox_of"]


def outbox_of(flusher: Flusher, transport: asyncio.Transport, *, deflated: bool) -> Outbox:
    """Return an empty outbox for *transport*, which must not be written to by anybody else from now on."""
    descriptor = -1
    # What TLS sends is not what was written.
    if transport.get_extra_info("sslcontext") is None:
        socket = transport.get_extra_info("socket")
        descriptor = -1 if socket is None else socket.fileno()
    return Outbox(flusher, transport, descriptor, deflated)


def gather(audience: Audience) -> Crowd:
    """Make a crowd of connections whose wires have an outbox."""
    wires: list[Any] = [connection.wire for connection in audience]
    return Crowd([wire.outbox for wire in wires])
