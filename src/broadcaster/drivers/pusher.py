"""The driver for Pusher Channels, and for every server that speaks its HTTP API."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from broadcaster.channels import USER_PREFIX
from broadcaster.context import is_socket_id
from broadcaster.drivers._pusher_sdk import PusherApp
from broadcaster.drivers.pusher_api import PusherApi, words
from broadcaster.drivers.pusher_limits import (
    CHANNELS_PER_EVENT,
    EVENTS_PER_BATCH,
    check_data,
    check_names,
)
from broadcaster.drivers.requests import HttpRequest
from broadcaster.drivers.shares import shares
from broadcaster.drivers.signers import PusherSigner
from broadcaster.encoding import encode
from broadcaster.encryption import master_key
from broadcaster.messages import Message
from broadcaster.signing import Credentials

__all__ = ["PusherDriver"]

_ID_LENGTH = 128

_Item: TypeAlias = tuple[str, dict[str, Any]]
"""The id of a message, and one event of a batch."""


class PusherDriver(PusherApi):
    """Delivers over the HTTP API of *app_id*, signed with *key* and *secret*.

    Pusher's own server for *cluster*, unless *host* names another one; *path* is where that one has the
    API, when not at its root. *encryption_master_key* is the Base64 of 32 bytes. *max_data_size* is in
    bytes. *idempotent* says that the server drops repeats of an id, as the one of this package does: then
    a request that may have arrived is sent again all the same.
    """

    def __init__(  # noqa: PLR0913 - the options, by name
        self,
        *,
        app_id: str,
        key: str,
        secret: str,
        cluster: str | None = None,
        host: str | None = None,
        port: int | None = None,
        scheme: str = "https",
        path: str = "",
        encryption_master_key: str | None = None,
        max_data_size: int = 10_240,
        idempotent: bool = False,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        retries: int = 2,
    ) -> None:
        super().__init__(connect_timeout=connect_timeout, read_timeout=read_timeout, retries=retries)
        self._signer = PusherSigner(Credentials(key, secret), master_key(encryption_master_key))
        self._app = PusherApp(
            app_id=app_id,
            key=key,
            secret=secret,
            cluster=cluster,
            host=host,
            port=port,
            scheme=scheme,
            path=path,
        )
        self._max_data_size = max_data_size
        self._idempotent = idempotent

    @property
    def signer(self) -> PusherSigner:
        """What signs with the key and the secret."""
        return self._signer

    def requests(self, message: Message) -> list[HttpRequest]:
        """Return one request for a hundred channels, and one for each encrypted channel."""
        return self._triggers(message, ())

    def requests_for_many(self, messages: Sequence[Message]) -> Iterator[HttpRequest]:
        """Check and encrypt all *messages* now, then sign one request for every ten events when it is due.

        A signature is good for ten minutes, which a long batch may take.
        """
        items: list[_Item] = []
        ends: list[int] = []
        for message in messages:
            items += self._items(message)
            ends.append(len(items))
        return (
            self._batch(items[n : n + EVENTS_PER_BATCH], completes=bisect_right(ends, n + EVENTS_PER_BATCH))
            for n in range(0, len(items), EVENTS_PER_BATCH)
        )

    def trigger(self, message: Message, *, info: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Deliver *message* and return what its channels were like: by channel, the attributes in *info*.

        They are `user_count` (presence channels) and `subscription_count`; servers differ in which they
        know, and say nothing about a channel that has none of them.
        """
        return self._attributes([self.ask(request) for request in self._triggers(message, info)])

    async def atrigger(self, message: Message, *, info: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Like `trigger()`, without blocking the event loop."""
        return self._attributes([await self.aask(request) for request in self._triggers(message, info)])

    def send_to_user(self, user_id: str, name: str, data: object) -> None:
        """Deliver an event to every connection that is signed in as that user.

        Raises `UnencodableData` for *data* that has no JSON form.
        """
        self.deliver(Message(name, (USER_PREFIX + user_id,), encode(data)))

    async def asend_to_user(self, user_id: str, name: str, data: object) -> None:
        """Like `send_to_user()`, without blocking the event loop."""
        await self.adeliver(Message(name, (USER_PREFIX + user_id,), encode(data)))

    def _triggers(self, message: Message, info: Iterable[str]) -> list[HttpRequest]:
        """Return the requests to `/events`; nothing is encrypted for several channels at once."""
        check_names(message, driver=self.name)
        asked = {"info": text} if (text := words(info)) else {}
        headers = {"X-Idempotency-Key": _id(message)}
        return [
            self._app.post(
                "events",
                body={
                    "name": message.name,
                    "channels": channels,
                    "data": data,
                    **_left_out(message),
                    **asked,
                },
                headers=headers,
                repeatable=self._idempotent,
            )
            for channels, data in self._shares(message)
        ]

    def _shares(self, message: Message) -> Iterator[tuple[list[str], str]]:
        """Yield the channels that take one request, and the data that goes to them."""
        self._check(message.data, f"the data of {message.name!r}")
        for share in shares(message, self._signer.encryption_key, driver=self.name):
            if share.data is not message.data:
                self._check(share.data, f"the encrypted data of {message.name!r}")
            channels = list(dict.fromkeys(share.channels))
            for n in range(0, len(channels), CHANNELS_PER_EVENT):
                yield channels[n : n + CHANNELS_PER_EVENT], share.data

    def _items(self, message: Message) -> Iterator[_Item]:
        check_names(message, driver=self.name)
        message_id, left_out = _id(message), _left_out(message)
        for channels, data in self._shares(message):
            for channel in channels:
                yield message_id, {"channel": channel, "name": message.name, "data": data, **left_out}

    def _batch(self, items: Sequence[_Item], *, completes: int) -> HttpRequest:
        return self._app.post(
            "batch_events",
            body={"batch": [event for _, event in items]},
            headers={"X-Idempotency-Key": ",".join(message_id for message_id, _ in items)},
            repeatable=self._idempotent,
            completes=completes,
        )

    def _check(self, data: str, what: str) -> None:
        check_data(data, what=what, limit=self._max_data_size, driver=self.name)


def _id(message: Message) -> str:
    # It goes into a header, with commas between; an id of this package stays as it is.
    plain = quote(message.id, safe="")
    return plain if 0 < len(plain) <= _ID_LENGTH else hashlib.sha256(message.id.encode()).hexdigest()


def _left_out(message: Message) -> dict[str, str]:
    # What came through another server's clients has another shape, and means nobody here.
    socket_id = message.except_socket
    return {"socket_id": socket_id} if socket_id is not None and is_socket_id(socket_id) else {}
