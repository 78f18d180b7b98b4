"""What goes out for one message: its plain channels at once, and each encrypted one by itself."""

from __future__ import annotations

from dataclasses import replace

from broadcaster.channels import Kind, kind_of
from broadcaster.encryption import shared_secret
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message

__all__ = ["shares"]


def shares(message: Message, key: bytes | None, *, driver: str) -> list[Message]:
    """Split *message*; no two encrypted channels have the same secret, so each takes a message of its own.

    Raises `DeliveryError` where there is something to encrypt and no *key*: nothing goes out then.
    """
    sealed = [channel for channel in message.channels if kind_of(channel) is Kind.ENCRYPTED]
    if not sealed:
        return [message]
    if key is None:
        reason = f"no key to encrypt for {sealed[0]!r}: set PUSHER_ENCRYPTION_MASTER_KEY"
        raise DeliveryError(reason, driver=driver, status=400)
    # Only who encrypts needs its package.
    from broadcaster.sealing import seal

    plain = tuple(channel for channel in message.channels if channel not in sealed)
    return [
        *([replace(message, channels=plain)] if plain else []),
        *(
            replace(message, channels=(channel,), data=seal(shared_secret(key, channel), message.data))
            for channel in dict.fromkeys(sealed)
        ),
    ]
