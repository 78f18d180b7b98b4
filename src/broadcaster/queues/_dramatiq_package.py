"""The package dramatiq: the one module that imports it."""

from __future__ import annotations

from broadcaster.errors import MissingExtra

try:
    import dramatiq
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.errors import BrokerConnectionError, DecodeError
    from dramatiq.middleware import Middleware, MiddlewareError
    from dramatiq.worker import ConsumerThread
except ImportError as error:
    raise MissingExtra(error.name or "dramatiq", extra="dramatiq") from error

__all__ = [
    "BrokerConnectionError",
    "ConsumerThread",
    "DecodeError",
    "Middleware",
    "MiddlewareError",
    "RabbitmqBroker",
    "RedisBroker",
    "dramatiq",
]
