"""The package rq: the one module that imports it."""

from __future__ import annotations

from broadcaster.errors import MissingExtra

try:
    import rq
    from rq.exceptions import DequeueTimeout, DeserializationError
    from rq.executions import Execution
    from rq.intermediate_queue import IntermediateQueue
    from rq.job import Job
    from rq.scheduler import RQScheduler
    from rq.serializers import JSONSerializer
    from rq.timeouts import BaseDeathPenalty
    from rq.utils import now
except ImportError as error:
    raise MissingExtra(error.name or "rq", extra="rq") from error

__all__ = [
    "BaseDeathPenalty",
    "DequeueTimeout",
    "DeserializationError",
    "Execution",
    "IntermediateQueue",
    "JSONSerializer",
    "Job",
    "RQScheduler",
    "now",
    "rq",
]
