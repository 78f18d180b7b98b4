"""A client for Python: hears what browsers hear, from the server or from Pusher itself."""

from broadcaster.client.channels import (
    Channel,
    EncryptedPrivateChannel,
    Incoming,
    PresenceChannel,
    PrivateChannel,
)
from broadcaster.client.connection import Auth, Client
from broadcaster.client.errors import ConnectionRefused, FellBehind
from broadcaster.client.listeners import Listener

__all__ = [
    "Auth",
    "Channel",
    "Client",
    "ConnectionRefused",
    "EncryptedPrivateChannel",
    "FellBehind",
    "Incoming",
    "Listener",
    "PresenceChannel",
    "PrivateChannel",
]
