"""Channels, as a client of them sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from broadcaster.client.listeners import Listener
from broadcaster.encoding import decode
from broadcaster.errors import BroadcastError, Forbidden

__all__ = [
    "Channel",
    "EncryptedPrivateChannel",
    "Incoming",
    "PresenceChannel",
    "PrivateChannel",
    "Sender",
    "decoded",
]

_logger = logging.getLogger("broadcaster.client")

Sender: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Sends one event of the protocol, with the other fields of its frame."""

_SUCCEEDED = "pusher_internal:subscription_succeeded"
_GAP = "broadcaster:gap"
_ADDED = "pusher_internal:member_added"
_REMOVED = "pusher_internal:member_removed"
_INTERNAL = ("pusher:", "pusher_internal:")
_PLAIN = (*_INTERNAL, _GAP)

_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event from the server: its *name*, the *channel* it was on, and its *data*, decoded.

    *user_id* is who sent a client event on a presence channel; *id* that of an event with a history.
    """

    name: str
    channel: str
    data: Any
    user_id: str | None = None
    id: str | None = None


class Channel:
    """A channel that anybody may join; *name* has the protocol's prefix."""

    guarded = False

    def __init__(self, name: str, send: Sender, forget: Callable[[str], object]) -> None:
        self.name = name
        self.joined = asyncio.Event()
        """Set while the server has us on the channel."""
        self.last_id: str | None = None
        self._send = send
        self._forget = forget
        self._listeners: dict[Listener[Any], tuple[str, ...]] = {}
        self._settled = asyncio.Event()
        self._error: Exception | None = None

    def listen(self, *names: str, waiting: int = _WAITING) -> Listener[Incoming]:
        """Listen from now on to the events of those *names*, or to every event of the application.

        At most *waiting* events wait to be taken. `broadcaster:gap` tells that events were missed while the
        connection was away, on a channel with a history.
        """
        return self._listener(tuple(name.removeprefix(".") for name in names), waiting)

    async def subscribed(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a wait has a deadline
        """Wait until the server has us on the channel; raise what keeps us off, or `TimeoutError`."""
        async with asyncio.timeout(timeout):
            await self._settled.wait()
        if self._error is not None:
            raise self._error

    async def leave(self) -> None:
        """Leave the channel; its listeners end, and this object is of no more use."""
        self._forget(self.name)
        for listener in list(self._listeners):
            listener.end()
        if self.joined.is_set():
            self.lost()
            await self._send("pusher:unsubscribe", {"data": {"channel": self.name}})

    def subscription(self, permission: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is said to join with that *permission*; the client calls it."""
        since = {} if self.last_id is None else {"last_id": self.last_id}
        return {"channel": self.name, **permission, **since}

    def received(self, frame: Mapping[str, Any]) -> None:
        """Take a frame for this channel; the client calls it."""
        name, data = frame["event"], frame["data"]
        if name == _SUCCEEDED:
            self.joined.set()
            self._settled.set()
        self._note_id(name, frame.get("id"))
        incoming = Incoming(name, self.name, data, frame.get("user_id"), frame.get("id"))
        for listener, names in list(self._listeners.items()):
            if name in names or (not names and not name.startswith(_INTERNAL)):
                listener.take(incoming)

    def _note_id(self, name: str, given: str | None) -> None:
        if name == _SUCCEEDED:
            # Otherwise it counts as heard once we had what came before it, or a gap says that we cannot.
            self.last_id = self.last_id or given
        else:
            self.last_id = given or self.last_id

    def lost(self) -> None:
        """Note that the connection has gone; the client calls it."""
        self.joined.clear()
        if self._error is None:
            self._settled.clear()

    def fail(self, error: Exception) -> None:
        """Give the channel up; the client calls it."""
        self._error = error
        self._settled.set()
        for listener in list(self._listeners):
            listener.fail(error)

    @property
    def failed(self) -> bool:
        """Whether the server, or the application, has refused us."""
        return self._error is not None

    def _listener(self, names: tuple[str, ...], waiting: int) -> Listener[Any]:
        listener: Listener[Any] = Listener(
            self.name, waiting=waiting, forget=lambda gone: self._listeners.pop(gone, None)
        )
        self._listeners[listener] = names
        if self._error is not None:
            listener.fail(self._error)
        return listener


class PrivateChannel(Channel):
    """A channel that takes the application's leave."""

    guarded = True

    async def whisper(self, name: str, data: object) -> None:
        """Tell the other clients on the channel, without troubling the application.

        Raises `BroadcastError` while we are not on it ourselves.
        """
        if not self.joined.is_set():
            raise BroadcastError(f"cannot whisper on {self.name!r}: not on it yet; await subscribed() first")
        await self._send(f"client-{name}", {"channel": self.name, "data": data})

    def listen_for_whisper(self, name: str, *, waiting: int = _WAITING) -> Listener[Incoming]:
        """Listen from now on to whispers of that *name*."""
        return self.listen(f"client-{name}", waiting=waiting)


class PresenceChannel(PrivateChannel):
    """A guarded channel whose members see each other: *members* are their infos, by user id."""

    def __init__(self, name: str, send: Sender, forget: Callable[[str], object]) -> None:
        super().__init__(name, send, forget)
        self.members: dict[str, Any] = {}

    def joining(self, *, waiting: int = _WAITING) -> Listener[Incoming]:
        """Listen for who comes: `user_id` and `user_info` in the data."""
        return self._listener((_ADDED,), waiting)

    def leaving(self, *, waiting: int = _WAITING) -> Listener[Incoming]:
        """Listen for who goes."""
        return self._listener((_REMOVED,), waiting)

    def received(self, frame: Mapping[str, Any]) -> None:
        """Keep the list of members besides."""
        match frame:
            case {"event": "pusher_internal:subscription_succeeded", "data": {"presence": {"hash": members}}}:
                self.members = dict(members)
            case {"event": "pusher_internal:member_added", "data": {"user_id": user_id, **more}}:
                self.members[str(user_id)] = more.get("user_info")
            case {"event": "pusher_internal:member_removed", "data": {"user_id": user_id}}:
                info = self.members.pop(str(user_id), None)
                frame = {**frame, "data": {"user_id": user_id, "user_info": info}}
        super().received(frame)


class EncryptedPrivateChannel(Channel):
    """A guarded channel whose events the server cannot read; nobody whispers on it.

    An event that cannot be opened is dropped, and a warning is logged: whoever sent it has another key.
    Raises `MissingExtra` without PyNaCl.
    """

    guarded = True

    def __init__(self, name: str, send: Sender, forget: Callable[[str], object]) -> None:
        # Only who joins one needs its package.
        from broadcaster.sealing import unseal

        super().__init__(name, send, forget)
        self._unseal = unseal
        self._secret = ""

    def subscription(self, permission: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the secret of the channel to ourselves."""
        match permission:
            case {"shared_secret": str(secret), **rest}:
                self._secret = secret
                return super().subscription(rest)
        raise Forbidden("the leave has no shared_secret; whoever gives it needs the key", channel=self.name)

    def received(self, frame: Mapping[str, Any]) -> None:
        """Open what is sealed."""
        if not frame["event"].startswith(_PLAIN):
            try:
                frame = {**frame, "data": decoded(self._unseal(self._secret, frame["data"]))}
            except ValueError as error:
                _logger.warning("an event on %r cannot be opened (%s)", self.name, error)
                return
        super().received(frame)


def decoded(text: str) -> Any:
    """Return what *text* is the JSON of, or itself where it is none."""
    try:
        return decode(text)
    except ValueError:
        return text
