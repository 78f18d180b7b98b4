"""Webhooks as an application gets them: checked, and taken apart.

Rules: <https://pusher.com/docs/channels/server_api/webhooks/>.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from broadcaster.encoding import decode
from broadcaster.errors import BroadcastError
from broadcaster.signing import Credentials

__all__ = ["InvalidWebhook", "WebhookEvent", "WebhookPayload", "read_webhook"]

_SECONDS = 300.0


class InvalidWebhook(BroadcastError, ValueError):
    """A request that is no webhook of this application; *status* is that of the answer, 400 or 401."""

    def __init__(self, reason: str, *, status: int) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One thing that happened on a *channel*; *name* says what: `channel_occupied`, `member_added`, ...

    *user_id* is that of a member, or of whoever sent a client event. *event*, *data* and *socket_id* are
    those of a client event, *data* as text. *subscription_count* is how many are subscribed now.
    """

    name: str
    channel: str
    user_id: str | None = None
    event: str | None = None
    data: str | None = None
    socket_id: str | None = None
    subscription_count: int | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read one of the `events` of a payload; what a later protocol adds is passed over."""
        name, channel = fields.get("name"), fields.get("channel")
        if not isinstance(name, str) or not isinstance(channel, str):
            raise InvalidWebhook("an event of the webhook has no name or no channel", status=400)
        texts = {key: _text(fields, key) for key in ("user_id", "event", "data", "socket_id")}
        count = fields.get("subscription_count")
        return cls(name, channel, **texts, subscription_count=count if isinstance(count, int) else None)


@dataclass(frozen=True, slots=True)
class WebhookPayload:
    """What one request tells: *events* in order, put together *time_ms* milliseconds after 1970."""

    time_ms: int
    events: tuple[WebhookEvent, ...]


def read_webhook(
    body: bytes, headers: Mapping[str, str], *credentials: Credentials, seconds: float = _SECONDS
) -> WebhookPayload:
    """Return what the request with *body* and *headers* tells, signed by one of *credentials*.

    *body* must be the bytes that came, not what a framework made of them. A webhook may come twice. Raises
    `InvalidWebhook` when it is unsigned, tampered with, or more than *seconds* old.
    """
    given = {name.lower(): value for name, value in headers.items()}
    key, signature = given.get("x-pusher-key", ""), given.get("x-pusher-signature", "")
    known = next((pair for pair in credentials if pair.key == key), None)
    if known is None:
        raise InvalidWebhook(
            f"the webhook's X-Pusher-Key {key[:100]!r} is not this application's", status=401
        )
    if not known.matches(known.body_signature(body), signature):
        raise InvalidWebhook(
            "the webhook's signature does not match: check the secret, and that the body is as it came",
            status=401,
        )
    payload = _decoded(body)
    time_ms, events = payload.get("time_ms"), payload.get("events")
    if not isinstance(time_ms, int) or not isinstance(events, list):
        raise InvalidWebhook("the webhook has no time_ms or no events", status=400)
    if abs(time.time() - time_ms / 1000) > seconds:
        raise InvalidWebhook(
            f"the webhook was made more than {seconds:g} seconds ago: compare the clocks", status=401
        )
    return WebhookPayload(
        time_ms, tuple(WebhookEvent.of(fields) for fields in events if isinstance(fields, dict))
    )


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        payload = decode(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise InvalidWebhook("the webhook's body is not a JSON object", status=400)
    return payload


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) else None
