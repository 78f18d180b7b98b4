"""What an application sends with: the Python SDK, and the driver of this package, with the same methods."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pusher
from pusher import errors

from broadcaster import DeliveryError, Message
from broadcaster.drivers.pusher import PusherDriver
from broadcaster.encoding import encode

from .group import Server

__all__ = ["MASTER_KEY", "SDKS", "RefusedError", "shared_secret"]

MASTER_KEY = base64.b64encode(bytes(range(32))).decode()

_STATUS: dict[type[Exception], int] = {
    errors.PusherBadRequest: 400,
    errors.PusherBadAuth: 401,
    errors.PusherForbidden: 403,
}


class RefusedError(Exception):
    """The server refused, with this *status*."""

    def __init__(self, error: Exception, status: int | None) -> None:
        super().__init__(str(error))
        self.status = status


def shared_secret(channel: str) -> str:
    """Return what clients need to read an encrypted channel."""
    key = hashlib.sha256(channel.encode() + base64.b64decode(MASTER_KEY)).digest()
    return base64.b64encode(key).decode()


@contextmanager
def python(server: Server, secret: str) -> Iterator[Any]:
    """Open the official SDK."""
    sdk = pusher.Pusher(
        server.app_id,
        server.key,
        secret,
        ssl=False,
        host=server.host,
        port=server.port,
        encryption_master_key_base64=MASTER_KEY,
    )
    try:
        yield sdk
    except errors.PusherError as error:
        # A status without a class of its own begins the text: "413: ...".
        raise RefusedError(error, _STATUS.get(type(error)) or int(str(error).partition(":")[0])) from error
    finally:
        for client in (sdk._pusher_client, sdk._authentication_client):
            client.http.session.close()


@contextmanager
def driver(server: Server, secret: str) -> Iterator[DriverSdk]:
    """Open the driver `pusher`."""
    opened = PusherDriver(
        app_id=server.app_id,
        key=server.key,
        secret=secret,
        host=server.host,
        port=server.port,
        scheme="http",
        encryption_master_key=MASTER_KEY,
    )
    try:
        yield DriverSdk(opened)
    except DeliveryError as error:
        raise RefusedError(error, error.status) from error
    finally:
        opened.close()


class DriverSdk:
    """The driver as if it were an SDK."""

    def __init__(self, opened: PusherDriver) -> None:
        self._driver = opened

    def trigger(
        self, channels: str | Sequence[str], name: str, data: object, socket_id: str | None = None
    ) -> dict[str, Any]:
        names = (channels,) if isinstance(channels, str) else tuple(channels)
        self._driver.deliver(Message(name, names, encode(data), socket_id))
        return {}

    def trigger_batch(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
        self._driver.deliver_many(
            [Message(e["name"], (e["channel"],), encode(e["data"]), e.get("socket_id")) for e in batch]
        )
        return {}

    def send_to_user(self, user_id: str, name: str, data: object) -> dict[str, Any]:
        self._driver.send_to_user(user_id, name, data)
        return {}

    def terminate_user_connections(self, user_id: str) -> dict[str, Any]:
        self._driver.terminate_connections(user_id)
        return {}

    def channels_info(self, prefix: str = "", info: Sequence[str] = ()) -> dict[str, Any]:
        return {"channels": self._driver.channels(prefix=prefix or "", info=info)}

    def channel_info(self, channel: str, info: Sequence[str] = ()) -> dict[str, Any]:
        return self._driver.channel(channel, info=info)

    def users_info(self, channel: str) -> dict[str, Any]:
        return {"users": [{"id": user_id} for user_id in self._driver.users(channel)]}


SDKS = {"driver": driver, "python": python}
