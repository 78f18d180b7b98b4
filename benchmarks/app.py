"""The application that servers serve here, and the events that are sent."""

from __future__ import annotations

import time

from broadcaster.protocol import frames
from broadcaster.signing import Credentials

__all__ = ["APP_ID", "CHANNEL", "CREDENTIALS", "EVENT", "KEY", "SECRET", "TEXT_SIZE", "data_of", "mark"]

APP_ID = "1"
KEY = "app-key"
SECRET = "app-secret"
CREDENTIALS = Credentials(KEY, SECRET)
CHANNEL = "orders"
EVENT = "OrderShipped"
TEXT_SIZE = 200
"""Bytes of text in a frame; on the wire there are four more before it."""


def mark() -> str:
    """Return the time, as clients look for it: 16 hexadecimal digits and a sign that is nowhere else."""
    return f"{time.monotonic_ns():016x}^"


def data_of(size: int = TEXT_SIZE, channel: str = CHANNEL) -> str:
    """Return data with the time in it, which make a frame with *size* bytes of text."""
    text = f'{{"sent":"{mark()}","text":""}}'
    missing = size - len(frames.event(EVENT, channel, text).encode())
    return text.replace('""', f'"{"." * missing}"')
