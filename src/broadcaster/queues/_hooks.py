"""What the class of an event wants to hear of the end of its envelope."""

from __future__ import annotations

import logging
import sys
from operator import attrgetter

from broadcaster.errors import BroadcastError
from broadcaster.queues.envelopes import Envelope

__all__ = ["tell_class"]

_logger = logging.getLogger("broadcaster.queue")


def tell_class(envelope: Envelope, error: BroadcastError) -> None:
    """Call `failed(message, error)` of the class that *envelope* came from, where it has one.

    Only in a process that has loaded the module already: what stands in a queue is never imported.
    """
    module, _, name = envelope.event.partition(":")
    try:
        hook = attrgetter(f"{name}.failed")(sys.modules[module])
    except (AttributeError, KeyError):
        return
    if not callable(hook):  # a field of that name
        return
    try:
        hook(envelope.message, error)
    except Exception:
        _logger.exception("%s.failed() of %r", name, module)
