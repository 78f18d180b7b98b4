"""One open connection, as its shell sees it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Protocol

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect
from broadcaster.protocol.hub import Hub

__all__ = ["Session"]

_logger = logging.getLogger("broadcaster.server")


class _Node(Protocol):
    def perform(self, hub: Hub, effects: Iterable[Effect]) -> None: ...


class Session:
    """What a shell tells of *connection* to its *hub*, on its *node*."""

    __slots__ = ("_connection", "_hub", "_is_open", "_node")

    def __init__(self, node: _Node, hub: Hub, connection: Connection) -> None:
        self._node, self._hub, self._connection = node, hub, connection
        self._is_open = True

    def received(self, text: str) -> None:
        """Act on a text frame."""
        self._hub.tally.frames_received += 1
        self._node.perform(self._hub, self._hub.received(self._connection, text, time.monotonic()))

    def touched(self) -> None:
        """Note a control frame: the peer lives."""
        self._connection.touch(time.monotonic())

    def closed(self, code: int = 1006) -> None:
        """Forget the connection, which ended with *code*, 1006 without any; harmless when repeated."""
        if self._is_open:
            self._is_open = False
            self._hub.tally.closed[code] += 1
        self._node.perform(self._hub, self._hub.disconnected(self._connection))

    def cut_off(self) -> None:
        """Note that the connection was dropped because its peer reads too slowly."""
        self._hub.tally.slow_readers += 1
        _logger.warning("connection %s cut off: it reads too slowly", self._connection.socket_id)
