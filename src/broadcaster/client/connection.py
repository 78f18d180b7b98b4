"""The connection of a client: kept open, and opened again.

Rules: <https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/>.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

from broadcaster.channels import Kind, check_name, kind_of
from broadcaster.client.channels import (
    Channel,
    EncryptedPrivateChannel,
    PresenceChannel,
    PrivateChannel,
    decoded,
)
from broadcaster.client.errors import ConnectionRefused
from broadcaster.client.retries import Retries
from broadcaster.encoding import decode, encode
from broadcaster.encryption import master_key, shared_secret
from broadcaster.errors import ConfigurationError, Forbidden, MissingExtra
from broadcaster.signing import Credentials

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, WebSocketException
except ImportError as error:
    raise MissingExtra("websockets", extra="server") from error

__all__ = ["Auth", "Client"]

_logger = logging.getLogger("broadcaster.client")
# What the library would say of a connection is said here, and once.
_quiet = logging.getLogger("broadcaster.client.websocket")
_quiet.setLevel(logging.CRITICAL)

_MAX_SIZE = 1_048_576
_KEEPALIVE = 20.0

Permission: TypeAlias = Mapping[str, Any]
Auth: TypeAlias = Credentials | Callable[[str, str], Permission | Awaitable[Permission]]
"""The application's own credentials, or a function that asks for leave.

It gets a socket id and a channel, and returns what an auth endpoint answers: `auth`, with `channel_data` on
presence channels and `shared_secret` on encrypted ones. It raises `Forbidden` where the answer is no;
whatever else it raises is tried again.
"""

_C = TypeVar("_C", bound=Channel)

_CLASSES: dict[Kind, type[Channel]] = {
    Kind.PUBLIC: Channel,
    Kind.PRIVATE: PrivateChannel,
    Kind.PRESENCE: PresenceChannel,
    Kind.ENCRYPTED: EncryptedPrivateChannel,
}


class Client:
    """A connection to the server at *url*, `ws://host:port` or `wss://...`, as the application *key*.

    An async context manager. It connects in the background, and again whenever the connection breaks; its
    channels are joined anew, and those with a history tell what was missed. *auth* gives leave to join
    guarded channels; where it is `Credentials`, encrypted ones take *encryption_master_key* besides, 32 bytes
    in Base64. An answer may take *timeout* seconds.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        auth: Auth | None = None,
        encryption_master_key: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        if not _is_address(url):
            # Whoever wrote a URL may have written a password.
            shown = url.rpartition("@")[2]
            raise ConfigurationError(f"no address of a server: {shown!r}; write ws://127.0.0.1:6001")
        self.url = f"{url.rstrip('/')}/app/{quote(key, safe='')}?protocol=7&client=broadcaster"
        self.socket_id: str | None = None
        """What tells the application who is asking, as `X-Socket-ID`; None while there is no connection."""
        self._auth = auth
        self._encryption_key = master_key(encryption_master_key)
        self._timeout = timeout
        self._channels: dict[str, Channel] = {}
        self._socket: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._told: tuple[int | None, str] = (None, "")
        self._failure: Exception | None = None

    def channel(self, name: str) -> Channel:
        """Join a channel that anybody may join."""
        return self._join(name, Channel)

    def private(self, name: str) -> PrivateChannel:
        """Join `private-{name}`."""
        return self._join(f"private-{name}", PrivateChannel)

    def join(self, name: str) -> PresenceChannel:
        """Join `presence-{name}`."""
        return self._join(f"presence-{name}", PresenceChannel)

    def encrypted_private(self, name: str) -> EncryptedPrivateChannel:
        """Join `private-encrypted-{name}`."""
        return self._join(f"private-encrypted-{name}", EncryptedPrivateChannel)

    def open(self, name: str) -> Channel:
        """Join the channel of that full *name*, whatever its prefix says it is."""
        return self._join(name, _CLASSES[kind_of(name)])

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._stay_connected(), name="broadcaster-client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._asking, *([self._running] if self._running is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in list(self._channels.values()):
            await channel.leave()

    def _join(self, name: str, kind: type[_C]) -> _C:
        found = self._channels.get(name)
        if found is None:
            check_name(name)
            found = self._channels[name] = kind(name, self._send, self._channels.pop)
            if self._failure is not None:
                found.fail(self._failure)
            self._ask(found)
        if not isinstance(found, kind):
            raise ConfigurationError(f"{name!r} has been joined as a {type(found).__name__} already")
        return found

    async def _stay_connected(self) -> None:
        retries = Retries(random.random)
        while True:
            started = time.monotonic()
            established, code, reason = await self._converse()
            if code is not None and 4000 <= code < 4100:
                self._failure = ConnectionRefused(reason, code=code)
                for channel in self._channels.values():
                    channel.fail(self._failure)
                return
            lasted = time.monotonic() - started if established else 0.0
            pause = retries.after(code, lasted=lasted)
            _logger.warning("connection lost (%s %s); next try in %.1f s", code or "", reason, pause)
            await asyncio.sleep(pause)

    async def _converse(self) -> tuple[bool, int | None, str]:
        """Hold one connection while it lasts; return whether it was established, and how it ended."""
        self._told, established = (None, ""), False
        try:
            async with connect(
                self.url, open_timeout=self._timeout, close_timeout=1.0, max_size=_MAX_SIZE,
                ping_interval=_KEEPALIVE, ping_timeout=_KEEPALIVE, logger=_quiet,
            ) as socket:  # fmt: skip
                self._socket = socket
                try:
                    while True:
                        await self._received(await socket.recv())
                        established = established or self.socket_id is not None
                except ConnectionClosed as closed:
                    told, reason = self._told
                    if closed.rcvd is None:
                        return established, told, reason or str(closed)
                    return established, closed.rcvd.code, reason or closed.rcvd.reason
        except (OSError, TimeoutError, WebSocketException) as error:
            return established, None, str(error) or type(error).__name__
        finally:
            self._lose()

    def _lose(self) -> None:
        self._socket = self.socket_id = None
        for task in self._asking:
            task.cancel()
        for channel in self._channels.values():
            channel.lost()

    async def _received(self, text: str | bytes) -> None:
        frame = _decoded(text)
        match frame:
            case {"event": "pusher:connection_established", "data": {"socket_id": str(socket_id)}}:
                self.socket_id = socket_id
                for channel in self._channels.values():
                    self._ask(channel)
            case {"event": "pusher:ping"}:
                await self._send("pusher:pong", {"data": {}})
            case {"event": "pusher:error", "data": {"message": message, **more}}:
                code = more.get("code")
                self._told = (code if isinstance(code, int) else None, str(message))
            case {"event": "pusher:subscription_error", "channel": str(name), "data": data}:
                if (refused := self._channels.get(name)) is not None:
                    reason = data.get("error", "") if isinstance(data, dict) else ""
                    refused.fail(Forbidden(f"the server refused: {reason}", channel=name))
            case {"event": str(), "channel": str(name), "data": _}:
                if (known := self._channels.get(name)) is not None:
                    known.received(frame)

    def _ask(self, channel: Channel) -> None:
        """Join a channel in the background, when there is a connection."""
        if self.socket_id is not None and not channel.failed:
            task = asyncio.create_task(self._subscribe(channel, self.socket_id), name="broadcaster-join")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _subscribe(self, channel: Channel, socket_id: str) -> None:
        retries = Retries(random.random)
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    permission = await self._permission(channel, socket_id) if channel.guarded else {}
                data = channel.subscription(permission)
                break
            except Forbidden as refused:
                channel.fail(refused)
                return
            except Exception as error:  # noqa: BLE001 - the function's own, and it may work the next time
                pause = retries.after(None, lasted=0.0)
                _logger.warning("no leave for %r (%r); asked again in %.1f s", channel.name, error, pause)
                await asyncio.sleep(pause)
        await self._send("pusher:subscribe", {"data": data})

    async def _permission(self, channel: Channel, socket_id: str) -> Permission:
        match self._auth:
            case None:
                raise Forbidden("the client has no auth", channel=channel.name)
            case Credentials() as credentials:
                return self._signed(credentials, channel, socket_id)
            case ask:
                answer = ask(socket_id, channel.name)
                return await answer if inspect.isawaitable(answer) else answer

    def _signed(self, credentials: Credentials, channel: Channel, socket_id: str) -> Permission:
        member, more = None, {}
        if isinstance(channel, PresenceChannel):
            member = more["channel_data"] = encode({"user_id": f"client-{socket_id}"})
        elif isinstance(channel, EncryptedPrivateChannel):
            if self._encryption_key is None:
                raise Forbidden("the client has no encryption_master_key", channel=channel.name)
            more["shared_secret"] = shared_secret(self._encryption_key, channel.name)
        return {"auth": credentials.channel_auth(socket_id, channel.name, member), **more}

    async def _send(self, event: str, fields: dict[str, Any]) -> None:
        if self._socket is None:
            return
        with suppress(ConnectionClosed):  # whoever reads finds out too, and connects again
            await self._socket.send(encode({"event": event, **fields}))


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"ws", "wss"} and bool(parts.hostname)


def _decoded(text: str | bytes) -> Any:
    """Return a frame, with its data decoded where that is JSON."""
    try:
        frame = decode(text)
    except ValueError:
        return None
    if isinstance(frame, dict) and isinstance(data := frame.get("data"), str):
        frame["data"] = decoded(data)
    return frame
