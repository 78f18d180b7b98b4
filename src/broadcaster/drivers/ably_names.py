"""What channels and connections are called at Ably.

The names are those of Laravel's two broadcasters, and of Ably's Pusher adapter:
<https://ably.com/docs/protocols/pusher#mapping>.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode

from broadcaster.channels import Kind, check_name, kind_of
from broadcaster.errors import InvalidChannelName

__all__ = ["ably_name", "connection_of", "resource_of"]

_NAMESPACES = {
    Kind.PUBLIC: "public:",
    Kind.PRIVATE: "private:",
    Kind.PRESENCE: "presence:",
    Kind.ENCRYPTED: "private:encrypted-",
}


def ably_name(channel: str, *, adapter: bool) -> str:
    """Return Ably's name of *channel*, as clients of the Pusher *adapter* or native ones know it.

    Raises `InvalidChannelName`, also for the channel of a user, which Ably has not.
    """
    kind = kind_of(check_name(channel))
    if kind is Kind.USER:
        raise InvalidChannelName(channel, "Ably has no channels of users")
    name = _NAMESPACES[kind] + channel.removeprefix(kind.value)
    # A colon divides namespaces at Ably and is no part of a Pusher name: the adapter swaps the two.
    return name.replace(";", ":") if adapter else name


def resource_of(name: str, *, adapter: bool) -> str:
    """Return what a capability calls *name*: a channel, or Ably's own name or pattern as it stands.

    Ably's own have a colon or an asterisk, as in `public:*`, which no name of a channel here has.
    """
    return name if ":" in name or "*" in name else ably_name(name, adapter=adapter)


def connection_of(socket_id: str | None, *, adapter: bool) -> dict[str, str]:
    """Return the fields of a message that leave one connection out.

    Clients of the *adapter* send the key of their connection as the socket id, native ones send JSON in
    Base64 that has the id of the client besides. It came from a browser: one that is neither is none.
    """
    if not socket_id:
        return {}
    return {"connectionKey": socket_id} if adapter else _decoded(socket_id)


def _decoded(socket_id: str) -> dict[str, str]:
    try:
        content = json.loads(b64decode(socket_id + "=" * (-len(socket_id) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    match content:
        case {"connectionKey": str(key), "clientId": str(client)} if key and client:
            return {"connectionKey": key, "clientId": client}
        case {"connectionKey": str(key)} if key and content.get("clientId") is None:
            return {"connectionKey": key}
    return {}
