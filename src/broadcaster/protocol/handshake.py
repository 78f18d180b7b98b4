"""Whether a connection may open: the checks on the address it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from broadcaster.protocol.codes import Code

__all__ = ["Refusal", "Visit", "unknown_app", "unsupported_protocol"]

# pusher-js and Swift speak 7; the Java client still says 5, and works with what 7 sends.
_SUPPORTED = frozenset({"5", "6", "7"})


@dataclass(frozen=True, slots=True)
class Visit:
    """What a client comes with: the *params* of its query, its *origin* if it is a page, its *address*."""

    params: Mapping[str, str]
    origin: str | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error frame and the close code of a connection that may not open; never a 42xx code."""

    code: int
    message: str


def unknown_app(key: str) -> Refusal:
    """No application has this key."""
    return Refusal(Code.UNKNOWN_APP, f"No application has the key {key[:100]!r}; check the key and the host")


def unsupported_protocol(params: Mapping[str, str]) -> Refusal | None:
    """Check the `protocol` parameter of the connection's query."""
    version = params.get("protocol")
    if not version:
        return Refusal(Code.NO_PROTOCOL, "No protocol version supplied; add ?protocol=7")
    if version not in _SUPPORTED:
        return Refusal(Code.UNSUPPORTED_PROTOCOL, f"Unsupported protocol version {version[:20]!r}; use 7")
    return None
