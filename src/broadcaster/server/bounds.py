"""How much one connection may cost a server, whatever application it is for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from broadcaster.errors import ConfigurationError

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes in bytes, times in seconds.

    The head of an HTTP request has *head_size* at most (431), its body *body_size* (413). A client has
    *request_seconds* for its first request, and *idle_seconds* for each one after that; *tls_seconds* for its
    TLS handshake, and *close_seconds* to answer a close frame. One that leaves more than *outbox_size*
    unread is cut off. Raises `ConfigurationError` for what is not above 0.
    """

    head_size: int = 16_384
    body_size: int = 1_048_576
    outbox_size: int = 1_048_576
    request_seconds: float = 15.0
    idle_seconds: float = 75.0
    tls_seconds: float = 10.0
    close_seconds: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if (value := getattr(self, field.name)) <= 0:
                raise ConfigurationError(f"{field.name} must be above 0, not {value}")
