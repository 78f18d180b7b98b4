"""Event broadcasting: a typed event in Python becomes a message in the browsers that may see it.

The names below are loaded on first use, so that `import broadcaster` costs nothing but this page.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broadcaster._version import __version__
    from broadcaster.channels import Channel, EncryptedPrivateChannel, PresenceChannel, PrivateChannel
    from broadcaster.config import Settings
    from broadcaster.context import current_socket
    from broadcaster.errors import (
        BroadcastError,
        ConfigurationError,
        DeliveryError,
        Forbidden,
        InvalidChannelName,
        InvalidSocketId,
        MissingExtra,
        UnencodableData,
    )
    from broadcaster.events import (
        AnonymousEvent,
        Broadcastable,
        Event,
        ShouldBeUnique,
        ShouldBroadcastNow,
        ShouldDispatchAfterCommit,
        ShouldQueue,
        ShouldRescue,
    )
    from broadcaster.manager import BroadcastManager
    from broadcaster.messages import Member, Message, SignIn
    from broadcaster.rules import ChannelRules, Grant

__all__ = [
    "AnonymousEvent",
    "BroadcastError",
    "BroadcastManager",
    "Broadcastable",
    "Channel",
    "ChannelRules",
    "ConfigurationError",
    "DeliveryError",
    "EncryptedPrivateChannel",
    "Event",
    "Forbidden",
    "Grant",
    "InvalidChannelName",
    "InvalidSocketId",
    "Member",
    "Message",
    "MissingExtra",
    "PresenceChannel",
    "PrivateChannel",
    "Settings",
    "ShouldBeUnique",
    "ShouldBroadcastNow",
    "ShouldDispatchAfterCommit",
    "ShouldQueue",
    "ShouldRescue",
    "SignIn",
    "UnencodableData",
    "__version__",
    "current_socket",
]

_MODULES = {
    "_version": ["__version__"],
    "channels": ["Channel", "EncryptedPrivateChannel", "PresenceChannel", "PrivateChannel"],
    "config": ["Settings"],
    "context": ["current_socket"],
    "errors": [
        "BroadcastError",
        "ConfigurationError",
        "DeliveryError",
        "Forbidden",
        "InvalidChannelName",
        "InvalidSocketId",
        "MissingExtra",
        "UnencodableData",
    ],
    "events": [
        "AnonymousEvent",
        "Broadcastable",
        "Event",
        "ShouldBeUnique",
        "ShouldBroadcastNow",
        "ShouldDispatchAfterCommit",
        "ShouldQueue",
        "ShouldRescue",
    ],
    "manager": ["BroadcastManager"],
    "messages": ["Member", "Message", "SignIn"],
    "rules": ["ChannelRules", "Grant"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'broadcaster' has no attribute {name!r}")
    value = getattr(import_module(f"broadcaster.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
