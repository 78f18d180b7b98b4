"""Kinds of channel: their prefixes, their names and the rules that a name keeps.

The rules are those of the Pusher Channels protocol: <https://pusher.com/docs/channels/using_channels/channels/>.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import ClassVar

from broadcaster.errors import InvalidChannelName

__all__ = [
    "MAX_NAME_LENGTH",
    "USER_PREFIX",
    "Channel",
    "EncryptedPrivateChannel",
    "Kind",
    "PresenceChannel",
    "PrivateChannel",
    "check_name",
    "is_cached",
    "kind_of",
]

# Pusher's pages say 164; its own server SDKs, and the servers people run instead, accept 200.
MAX_NAME_LENGTH = 200

# Reserved: the one channel name that may hold a "#", and whatever characters the user's id holds.
USER_PREFIX = "#server-to-user-"

_LEGAL = re.compile(r"[-a-zA-Z0-9_=@,.;]+")


class Kind(Enum):
    """What a channel's name says about who may join it."""

    PUBLIC = ""
    PRIVATE = "private-"
    PRESENCE = "presence-"
    ENCRYPTED = "private-encrypted-"
    USER = USER_PREFIX

    @property
    def guarded(self) -> bool:
        """Whether a subscription needs a signature."""
        return self is not Kind.PUBLIC and self is not Kind.USER


# Longest prefix first: "private-encrypted-" also starts with "private-".
_PREFIXED = [(kind.value, kind) for kind in (Kind.ENCRYPTED, Kind.PRIVATE, Kind.PRESENCE, Kind.USER)]


def kind_of(name: str) -> Kind:
    """Tell the kind of a channel by its whole name; prefixes are anchored and case-sensitive."""
    for prefix, kind in _PREFIXED:
        if name.startswith(prefix):
            return kind
    return Kind.PUBLIC


_CACHED = tuple(f"{kind.value}cache-" for kind in (Kind.PUBLIC, Kind.PRIVATE, Kind.PRESENCE, Kind.ENCRYPTED))


def is_cached(name: str) -> bool:
    """Tell whether a channel keeps its last event for who comes later: `cache-` follows the prefix."""
    return name.startswith(_CACHED)


@lru_cache(maxsize=4096)
def check_name(name: str) -> str:
    """Return *name* when it is a legal channel name; raise `InvalidChannelName` otherwise."""
    if not name:
        raise InvalidChannelName(name, "it is empty")
    if (length := len(name.removeprefix(USER_PREFIX))) > MAX_NAME_LENGTH:
        raise InvalidChannelName(name, f"it has {length} characters, {MAX_NAME_LENGTH} are allowed")
    if name.startswith(USER_PREFIX):
        if name == USER_PREFIX or not name.isprintable():
            raise InvalidChannelName(name, f"a printable user id must follow {USER_PREFIX!r}")
    elif not _LEGAL.fullmatch(name):
        at = match.end() if (match := _LEGAL.match(name)) else 0
        raise InvalidChannelName(
            name, f"{name[at]!r} at position {at}; letters, digits and - _ = @ , . ; are allowed"
        )
    # A plain copy: the member of a string Enum equals its value, and would be what the cache gives for it.
    return str.__str__(name)


@dataclass(frozen=True, slots=True, init=False)
class Channel:
    """A channel that anybody may join; *name* is the whole name, prefix included.

    Raises `InvalidChannelName` for a name that the protocol does not allow.
    """

    name: str
    _prefix: ClassVar[str] = Kind.PUBLIC.value

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", check_name(self._prefix + name))

    def __str__(self) -> str:
        return self.name


class PrivateChannel(Channel):
    """A channel that takes the application's leave to join; `private-` goes before the name."""

    __slots__ = ()
    _prefix = Kind.PRIVATE.value


class PresenceChannel(Channel):
    """A guarded channel whose members see each other: `PresenceChannel("room")` is `presence-room`."""

    __slots__ = ()
    _prefix = Kind.PRESENCE.value


class EncryptedPrivateChannel(Channel):
    """A guarded channel whose events only its members can read: `private-encrypted-` before the name.

    Encryption is the driver's work: `pusher` does it. The others refuse such a channel, rather than send
    its events in the clear.
    """

    __slots__ = ()
    _prefix = Kind.ENCRYPTED.value
