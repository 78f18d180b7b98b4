"""The driver that writes messages to the log: what an application uses until it is told otherwise."""

from __future__ import annotations

import logging
import sys

from broadcaster.drivers.base import Driver
from broadcaster.messages import Message

__all__ = ["LogDriver"]

_logger = logging.getLogger("broadcaster.log")


class LogDriver(Driver):
    """Logs each message in one line, at level INFO, to the logger `broadcaster.log`.

    A program that never configured logging sees the line on stderr, as it would see a warning.
    """

    name = "log"

    def deliver(self, message: Message) -> None:
        """Log *message*."""
        if not _logger.hasHandlers():
            sys.stderr.write(_line(message) + "\n")
        elif _logger.isEnabledFor(logging.INFO):
            _logger.info("%s", _line(message))

    async def adeliver(self, message: Message) -> None:
        """Log *message*."""
        self.deliver(message)


def _line(message: Message) -> str:
    excluded = f" except to {message.except_socket}" if message.except_socket else ""
    # A name comes from the application, but a line break in it would still forge a log line.
    return f"broadcast {message.name!r} on {', '.join(message.channels)}{excluded}: {message.data}"
