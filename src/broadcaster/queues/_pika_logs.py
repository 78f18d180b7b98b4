"""What `pika`, RabbitMQ's client, logs as errors while we handle them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["told_once"]

_logger = logging.getLogger("broadcaster.queue")

# It logs up to eight errors, some with a traceback, for each connection that has ended. That of a sender ends
# whenever it has been idle for half a minute, and then another one is opened, without anybody's loss.
_LOGGERS = (
    "pika.adapters.base_connection",
    "pika.adapters.blocking_connection",
    "pika.adapters.utils.connection_workflow",
    "pika.adapters.utils.io_services_utils",
    "pika.connection",
)

_here = threading.local()


@contextmanager
def told_once() -> Iterator[None]:
    """Log at DEBUG what this thread's client says inside; what is wrong after all is raised."""
    before = getattr(_here, "are_told", False)
    _here.are_told = True
    try:
        yield
    finally:
        _here.are_told = before


def _is_news(record: logging.LogRecord) -> bool:
    if not getattr(_here, "are_told", False):
        return True
    _logger.debug("%s: %s", record.name, record.getMessage())
    return False


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_news)
