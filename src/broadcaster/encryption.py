"""The keys of encrypted channels: <https://pusher.com/docs/channels/using_channels/encrypted-channels/>."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode

from broadcaster.errors import ConfigurationError

__all__ = ["master_key", "shared_secret"]


def master_key(encoded: str | None) -> bytes | None:
    """Return the 32 bytes that *encoded* is the Base64 of; None is no key.

    Raises `ConfigurationError`, which names the variable and not the value.
    """
    if encoded is None:
        return None
    try:
        key = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ConfigurationError(
            "PUSHER_ENCRYPTION_MASTER_KEY must be 32 bytes in Base64, as 'openssl rand -base64 32' makes them"
        )
    return key


def shared_secret(key: bytes, channel: str) -> str:
    """Return the Base64 of what the members of *channel* share, made of its name and the master *key*."""
    return b64encode(hashlib.sha256(channel.encode() + key).digest()).decode()
