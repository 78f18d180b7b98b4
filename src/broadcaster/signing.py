"""An application's credentials, and the signatures that the Pusher protocol asks for.

Strings to sign: <https://pusher.com/docs/channels/library_auth_reference/auth-signatures/> for channels
and users, <https://pusher.com/docs/channels/library_auth_reference/rest-api/> for the HTTP API.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from broadcaster.channels import check_name
from broadcaster.context import is_socket_id
from broadcaster.errors import InvalidSocketId

if TYPE_CHECKING:
    from _hashlib import HASH

__all__ = ["Credentials", "body_digest"]

_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def body_digest(body: bytes) -> str:
    """Return the MD5 of an HTTP API body: a checksum, sent as `body_md5` and protected by the signature."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The public *key* and the *secret* that one application shares with its server."""

    key: str
    secret: str = field(repr=False)

    def channel_auth(self, socket_id: str, channel: str, channel_data: str | None = None) -> str:
        """Return the `auth` string that lets one connection join one guarded channel.

        *channel_data* is the member's JSON on a presence channel, byte for byte as it will be sent.
        Raises `InvalidSocketId` or `InvalidChannelName`: what a client sent could otherwise be made to
        read as the text of another signature.
        """
        _check_socket_id(socket_id)
        check_name(channel)
        parts = [socket_id, channel] if channel_data is None else [socket_id, channel, channel_data]
        return f"{self.key}:{self.signature(':'.join(parts))}"

    def user_auth(self, socket_id: str, user_data: str) -> str:
        """Return the `auth` string that signs one connection in as the user in the JSON *user_data*.

        Raises `InvalidSocketId`.
        """
        _check_socket_id(socket_id)
        return f"{self.key}:{self.signature(f'{socket_id}::user::{user_data}')}"

    def request_signature(self, method: str, path: str, params: Iterable[tuple[str, str]]) -> str:
        """Return the `auth_signature` of an HTTP API request.

        *params* are the decoded query parameters, `auth_signature` itself left out.
        """
        query = "&".join(map("=".join, sorted([(key.lower(), value) for key, value in params])))
        return self.signature(f"{method.upper()}\n{path}\n{query}")

    def signature(self, text: str) -> str:
        """Return the signature of any *text*: HMAC-SHA256, in lower-case hexadecimal digits."""
        return self.body_signature(text.encode(errors="replace"))

    def body_signature(self, body: bytes) -> str:
        """Return the signature of a *body*, byte for byte, as the `X-Pusher-Signature` of a webhook."""
        half, other_half = _keyed(self.secret)
        inner, outer = half.copy(), other_half.copy()
        inner.update(body)
        outer.update(inner.digest())
        return outer.hexdigest()

    @staticmethod
    def matches(expected: str, given: str) -> bool:
        """Compare two signatures in a time that does not tell where they differ."""
        return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


# In half the time of `hmac.digest()`, which begins with the secret each time.
@lru_cache(maxsize=256)
def _keyed(secret: str) -> tuple[HASH, HASH]:
    """Return the two halves of HMAC-SHA256 as far as they depend on *secret* alone: RFC 2104, section 4."""
    key = secret.encode()
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


def _check_socket_id(socket_id: str) -> None:
    if not is_socket_id(socket_id):
        raise InvalidSocketId(socket_id)
