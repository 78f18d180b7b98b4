"""The server: a stand-in for Pusher Channels, as a process of its own or inside an application."""

from broadcaster.protocol.webhooks import Webhook
from broadcaster.server.admin import Admin
from broadcaster.server.apps import App
from broadcaster.server.asgi import AsgiServer
from broadcaster.server.bounds import Bounds
from broadcaster.server.lifecycle import Server
from broadcaster.server.proxies import Proxies
from broadcaster.server.running import serve
from broadcaster.server.thread import ServerThread
from broadcaster.server.tls import Tls

__all__ = [
    "Admin",
    "App",
    "AsgiServer",
    "Bounds",
    "Proxies",
    "Server",
    "ServerThread",
    "Tls",
    "Webhook",
    "serve",
]
