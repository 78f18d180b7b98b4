"""A message: an event resolved to a name, channels and JSON."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

__all__ = ["Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """What drivers deliver; everything in it is text, and nothing in it refers to the event's class.

    *data* is JSON text, encoded once. *except_socket* is the connection that must not get the
    message, or None. *id* stays the same however often the message is tried again.
    """

    name: str
    channels: tuple[str, ...]
    data: str
    except_socket: str | None = None
    id: str = field(default_factory=lambda: os.urandom(16).hex())
