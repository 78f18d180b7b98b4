"""Subscribers of a real server, and what reaches them: one listens, another is the sender to leave out."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from broadcaster.testing.contracts.drivers import Received
from tests.server.clients import SECONDS, Client, client

__all__ = ["Audience"]


class Audience:
    """Two connections to the server at *port*; use as a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = ExitStack()
        self._channels: set[str] = set()
        self._heard: dict[str, list[Received]] = {"listener": [], "sender": []}

    @property
    def socket_id(self) -> str:
        """The connection of the sender, which hears all but what it is left out of."""
        return self.sender.socket_id

    def listen(self, *channels: str) -> None:
        """Subscribe both connections."""
        for channel in channels:
            if channel not in self._channels:
                self._channels.add(channel)
                self._subscribe(self.listener, channel, "listener")
                self._subscribe(self.sender, channel, "sender")

    def received(self, count: int) -> list[Received]:
        """Wait until the listener has *count* messages; tell of each whether the sender was left out."""
        deadline = time.monotonic() + 4 * SECONDS
        heard = self._heard["listener"]
        while len(heard) < count:
            assert time.monotonic() < deadline, f"{len(heard)} of {count} messages arrived"
            self._take(self.listener.receive(), "listener")
        # Whatever else was on the way is here once both had their answer to a ping.
        for who, connection in (("listener", self.listener), ("sender", self.sender)):
            connection.send("pusher:ping", data={})
            while (frame := connection.receive())["event"] != "pusher:pong":
                self._take(frame, who)
        return [message for channel in self._channels for message in self._compared(channel)]

    def __enter__(self) -> Self:
        self.listener: Client = self._open.enter_context(client(self._port))
        self.sender: Client = self._open.enter_context(client(self._port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _subscribe(self, connection: Client, channel: str, who: str) -> None:
        user_id = who if channel.startswith("presence-") else None
        assert "error" not in connection.subscribe(channel, user_id=user_id)["event"]

    def _take(self, frame: dict[str, Any], who: str) -> None:
        if not frame["event"].startswith("pusher_internal:"):
            self._heard[who].append(Received(frame["event"], frame["channel"], json.loads(frame["data"])))

    def _compared(self, channel: str) -> list[Received]:
        """Return what the listener heard; what the sender did not hear was not for its socket."""
        by_sender = [message for message in self._heard["sender"] if message.channel == channel]
        compared: list[Received] = []
        for message in self._heard["listener"]:
            if message.channel == channel and by_sender[:1] == [message]:
                compared.append(by_sender.pop(0))
            elif message.channel == channel:
                compared.append(
                    Received(message.name, channel, message.data, except_socket=self.sender.socket_id)
                )
        assert by_sender == []
        return compared
