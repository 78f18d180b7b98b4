"""A consumer of Django Channels on daphne, with Redis between: `python with_channels.py PORT REDIS_PORT`."""

from __future__ import annotations

import sys
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from daphne.server import Server
from django.conf import settings


class _Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        what, channel, *text = text_data.split(" ", 2)
        if what == "publish":
            await self.channel_layer.group_send(channel, {"type": "event", "text": text[0]})
        else:
            await self.channel_layer.group_add(channel, self.channel_name)
            await self.send("subscribed")

    async def event(self, message: dict[str, Any]) -> None:
        await self.send(message["text"])


if __name__ == "__main__":
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [f"redis://127.0.0.1:{sys.argv[2]}"]},
    }
    settings.configure(CHANNEL_LAYERS={"default": layer})
    django.setup()
    endpoint = f"tcp:port={sys.argv[1]}:interface=127.0.0.1:backlog=4096"
    Server(
        _Consumer.as_asgi(), endpoints=[endpoint], signal_handlers=False, ping_interval=0, verbosity=0
    ).run()
