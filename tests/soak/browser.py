"""One client of the crowd, which connects, comes back and keeps its lists as pusher-js does."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from tests.server.clients import APP, CREDENTIALS
from tests.soak.accounts import Heard, Record
from tests.soak.members import Members

__all__ = ["Browser"]

_SECONDS = 10.0
_PAUSE = 1.0
_NO_CODE = 1006

_quiet = logging.getLogger("tests.soak.browser")
_quiet.setLevel(logging.CRITICAL)


class Browser:
    """Stays on *channels*, those for presence as *user*, on any node that *ports* returns."""

    def __init__(
        self,
        channels: Iterable[str],
        *,
        user: str,
        ports: Callable[[], list[int]],
        problems: list[str],
    ) -> None:
        self.user = user
        self.port = 0
        """That of the node it is on, 0 while it is on none."""
        self.members = {name: Members(name) for name in channels if name.startswith("presence-")}
        self.record = Record({name: Heard() for name in channels if name not in self.members})
        self._ports = ports
        self._problems = problems
        self._joined: set[str] = set()
        self._last_ids: dict[str, str] = {}
        self._latest: dict[str, str] = {}
        self._went = 0.0
        self._wire: _Wire | None = None

    @property
    def is_there(self) -> bool:
        """Whether it is on all its channels."""
        return len(self._joined) == len(self.members) + len(self.record.heard)

    def is_on(self, channel: str) -> bool:
        return channel in self._joined

    async def stay(self) -> None:
        """Connect, and again whenever the connection ends, until this is cancelled."""
        try:
            while True:
                for port in self._ports():
                    # A balancer asks another node when one refuses.
                    if await self._connect(port):
                        break
                else:
                    await asyncio.sleep(_PAUSE + random.random())
                    continue
                assert self._wire is not None
                code = await self._wire.ended
                self._leave()
                if not 4200 <= code < 4300:
                    await asyncio.sleep(_PAUSE)
        finally:
            if self._wire is not None:
                self._wire.abort()
            self._leave()

    async def _connect(self, port: int) -> bool:
        wire = self._wire = _Wire(port, self._received)
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await loop.create_connection(lambda: wire, "127.0.0.1", port)
                await asyncio.wait((wire.greeted, wire.ended), return_when=asyncio.FIRST_COMPLETED)
        if wire.greeted.done():
            self.port = port
            return True
        wire.abort()
        return False

    def _leave(self) -> None:
        if self.is_there:
            self._went = time.monotonic()
        self._joined.clear()
        self.port = 0

    def _received(self, text: str) -> None:
        frame = json.loads(text)
        channel: str = frame.get("channel", "")
        match frame["event"]:
            case "number":
                self.record.heard[channel].add(int(frame["data"]), time.monotonic())
                if "id" in frame:
                    self._last_ids[channel] = frame["id"]
            case "pusher:connection_established":
                assert self._wire is not None
                self._wire.greeted.set_result(None)
                self._subscribe(json.loads(frame["data"])["socket_id"])
            case "pusher_internal:subscription_succeeded":
                self._subscribed(channel, frame)
            case "pusher_internal:member_added":
                self.members[channel].added(json.loads(frame["data"])["user_id"])
            case "pusher_internal:member_removed":
                self.members[channel].removed(json.loads(frame["data"])["user_id"])
            case "broadcaster:gap":
                self.record.heard[channel].gaps.append(time.monotonic())
                self._last_ids[channel] = self._latest[channel]
            case "pusher:error" if 4100 <= frame["data"]["code"] < 4300:
                pass  # the code of the close that follows says the same
            case _:
                self._problems.append(f"a client was told {text}")

    def _subscribe(self, socket_id: str) -> None:
        assert self._wire is not None
        for channel in (*self.record.heard, *self.members):
            data = {"channel": channel}
            if channel in self.members:
                data["channel_data"] = json.dumps({"user_id": self.user})
                data["auth"] = CREDENTIALS.channel_auth(socket_id, channel, data["channel_data"])
            if channel in self._last_ids:
                data["last_id"] = self._last_ids[channel]
            self._wire.say({"event": "pusher:subscribe", "data": data})

    def _subscribed(self, channel: str, frame: dict[str, Any]) -> None:
        if channel in self.members:
            presence = json.loads(frame["data"])["presence"]
            self.members[channel].subscribed(presence["ids"], presence["count"])
        if "id" in frame:
            self._latest[channel] = frame["id"]
            # What came before it counts as heard once it has been, or cannot be any more.
            self._last_ids.setdefault(channel, frame["id"])
        self._joined.add(channel)
        if self.is_there and self._went:
            self.record.away.append((self._went, time.monotonic()))
            self._went = 0.0


class _Wire(asyncio.Protocol):
    """A WebSocket, which hands what comes to *take*; *ended* has the code of its close."""

    def __init__(self, port: int, take: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        uri = parse_uri(f"ws://127.0.0.1:{port}/app/{APP.key}?protocol=7")
        self._protocol = ClientProtocol(uri, logger=_quiet)
        self._take = take
        self._transport: asyncio.Transport | None = None
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    def say(self, command: object) -> None:
        self._protocol.send_text(json.dumps(command).encode())
        self._flush()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._take(bytes(event.data).decode())
        self._flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            close = self._protocol.close_rcvd
            self.ended.set_result(_NO_CODE if close is None else int(close.code))

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.write_eof()
