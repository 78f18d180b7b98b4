"""What a Pusher server can be asked besides to deliver.

Source: <https://pusher.com/docs/channels/library_auth_reference/rest-api/>.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from broadcaster.drivers.base import HttpDriver
from broadcaster.drivers.requests import HttpResponse
from broadcaster.errors import DeliveryError

if TYPE_CHECKING:
    from broadcaster.drivers._pusher_sdk import PusherApp

__all__ = ["PusherApi", "words"]


class PusherApi(HttpDriver):
    """The HTTP API of one application, without the events; every verb raises `DeliveryError`."""

    name = "pusher"
    remedies = {  # noqa: RUF012 - a constant, as the base class declares it
        None: "is it running? check PUSHER_HOST, PUSHER_PORT and PUSHER_SCHEME",
        401: "check PUSHER_APP_KEY, PUSHER_APP_SECRET, PUSHER_APP_CLUSTER and the clock of this machine",
        403: "the application may be disabled or over its quota: see its dashboard",
        404: "check PUSHER_APP_ID, PUSHER_APP_CLUSTER, PUSHER_HOST, PUSHER_PORT and PUSHER_PATH",
        413: "the server takes less than this driver was told: lower PUSHER_MAX_DATA_SIZE, "
        "or raise the server's limits",
    }
    _app: PusherApp

    def channels(self, *, prefix: str = "", info: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Return the channels that somebody is subscribed to, each with the attributes in *info*.

        Only those whose name starts with *prefix*. The attribute `user_count` is for presence channels,
        so that *prefix* has to start with `presence-` then.
        """
        return self._attributes([self.ask(self._app.get("channels", **_query(prefix, info)))])

    async def achannels(self, *, prefix: str = "", info: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Like `channels()`, without blocking the event loop."""
        return self._attributes([await self.aask(self._app.get("channels", **_query(prefix, info)))])

    def channel(self, name: str, *, info: Iterable[str] = ()) -> dict[str, Any]:
        """Return whether a channel is `occupied`, and the attributes in *info*.

        They are `user_count` (presence channels), `subscription_count`, and `cache` (cache channels);
        servers differ in which of them they know.
        """
        return _fields(self.ask(self._app.get("channels", name, **_query("", info))))

    async def achannel(self, name: str, *, info: Iterable[str] = ()) -> dict[str, Any]:
        """Like `channel()`, without blocking the event loop."""
        return _fields(await self.aask(self._app.get("channels", name, **_query("", info))))

    def users(self, name: str) -> list[str]:
        """Return the ids of the users in a presence channel."""
        return self._ids(self.ask(self._app.get("channels", name, "users")))

    async def ausers(self, name: str) -> list[str]:
        """Like `users()`, without blocking the event loop."""
        return self._ids(await self.aask(self._app.get("channels", name, "users")))

    def terminate_connections(self, user_id: str) -> None:
        """Close every connection that is signed in as that user; clients then stay away."""
        self.ask(self._app.post("users", user_id, "terminate_connections", body={}, repeatable=True))

    async def aterminate_connections(self, user_id: str) -> None:
        """Like `terminate_connections()`, without blocking the event loop."""
        await self.aask(self._app.post("users", user_id, "terminate_connections", body={}, repeatable=True))

    def check(self, response: HttpResponse) -> None:
        """Raise `DeliveryError` for an answer that is no JSON object: it came from something else."""
        if response.body != b"{}" and not isinstance(_parsed(response), dict):
            raise self._stranger(response)

    def _attributes(self, answers: Iterable[HttpResponse]) -> dict[str, dict[str, Any]]:
        """Return what several answers say about channels, as one."""
        merged: dict[str, dict[str, Any]] = {}
        for answer in answers:
            # Some servers are written in PHP, where an empty object easily becomes a list.
            channels = _fields(answer).get("channels") or {}
            if not isinstance(channels, dict):
                raise self._stranger(answer)
            merged |= {name: attributes or {} for name, attributes in channels.items()}
        return merged

    def _ids(self, answer: HttpResponse) -> list[str]:
        try:
            return [str(user["id"]) for user in _fields(answer)["users"]]
        except (KeyError, TypeError) as error:
            raise self._stranger(answer) from error

    def _stranger(self, response: HttpResponse) -> DeliveryError:
        said = " ".join(response.body[:80].decode(errors="replace").split())
        return DeliveryError(
            f"the server answered {response.status} with {said!r}: it does not speak the Pusher HTTP API; "
            "check PUSHER_HOST, PUSHER_PORT and PUSHER_PATH",
            driver=self.name,
            status=response.status,
        )


def words(info: Iterable[str]) -> str:
    """Return the names of attributes as they are sent: with commas between."""
    return info if isinstance(info, str) else ",".join(info)


def _query(prefix: str, info: Iterable[str]) -> dict[str, str]:
    query = {"filter_by_prefix": prefix, "info": words(info)}
    return {name: value for name, value in query.items() if value}


def _fields(response: HttpResponse) -> dict[str, Any]:
    fields: dict[str, Any] = _parsed(response)
    return fields


def _parsed(response: HttpResponse) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None
