"""What waits to be sent to each connection: in C where that part was built, else in Python.

`BROADCAST_PURE_PYTHON=1` leaves the C part alone.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from broadcaster.protocol.subscribers import Audience

if TYPE_CHECKING:
    import broadcaster.server._outbox as _chosen
else:
    try:
        if os.environ.get("BROADCAST_PURE_PYTHON") == "1":
            import broadcaster.server._pure_outbox as _chosen
        else:
            import broadcaster.server._outbox as _chosen
    except ImportError:
        import broadcaster.server._pure_outbox as _chosen

__all__ = ["ACCELERATED", "Crowd", "Flusher", "Outbox", "gather", "outbox_of"]

ACCELERATED = _chosen.__name__.endswith("._outbox")
"""Whether they are in C."""

Crowd = _chosen.Crowd
Flusher = _chosen.Flusher
Outbox = _chosen.Outbox


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
