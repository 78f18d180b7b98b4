"""Asks an application as Echo does, and reads what it answers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from broadcaster import BroadcastManager
from broadcaster.auth_requests import AuthRequest

__all__ = ["REFUSED", "ask"]

REFUSED = (403, {"error": "not allowed to join this channel"})


def ask(broadcast: BroadcastManager, channel: str, user: object, *, socket_id: str) -> tuple[int, Any]:
    """Return the status and the content of the answer to *user*, who wants to join *channel*."""
    body = urlencode({"channel_name": channel, "socket_id": socket_id}).encode()
    answer = broadcast.answer(AuthRequest(body=body), user)
    return answer.status, json.loads(answer.body)
