"""The driver for Ably."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from broadcaster.channels import Channel, Kind, kind_of
from broadcaster.drivers._ably_sdk import AblyClient, token_request
from broadcaster.drivers._laravel import with_socket
from broadcaster.drivers.ably_answers import ably_attempts, is_ablys
from broadcaster.drivers.ably_batches import Publication, encoded, requests_for
from broadcaster.drivers.ably_names import ably_name, connection_of, resource_of
from broadcaster.drivers.base import HttpDriver
from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse
from broadcaster.drivers.signers import AblySigner
from broadcaster.errors import ConfigurationError, DeliveryError, InvalidChannelName
from broadcaster.messages import Message
from broadcaster.signing import Credentials

__all__ = ["AblyDriver"]

_KEY = re.compile(r"[^\s.:]+\.[^\s.:]+:[^\s:]+")
_ENDPOINT = re.compile(
    r"nonprod:[a-z0-9-]{1,50}|[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", re.ASCII | re.IGNORECASE
)

_Named = TypeVar("_Named", bound=str | Channel)


class AblyDriver(HttpDriver):
    """Delivers to the Ably application of the API key *key*, `app.id:secret`.

    *clients* are what browsers connect with: `pusher` for laravel-echo and pusher-js through Ably's Pusher
    adapter, `ably` for Ably's own clients. *endpoint* is the name of a dedicated cluster, or a host.
    An attempt that finds a host of Ably's down goes on to others, unless *retries* is 0.
    """

    name = "ably"

    def __init__(
        self,
        *,
        key: str,
        clients: Literal["pusher", "ably"] = "pusher",
        endpoint: str | None = None,
        port: int | None = None,
        connect_timeout: float = 4.0,
        read_timeout: float = 10.0,
        retries: int = 2,
    ) -> None:
        super().__init__(connect_timeout=connect_timeout, read_timeout=read_timeout, retries=retries)
        if not _KEY.fullmatch(key):
            raise ConfigurationError(
                "ABLY_KEY is no API key: a whole one reads app.id:secret, as Ably's dashboard shows it"
            )
        if clients not in {"pusher", "ably"}:
            raise ConfigurationError(f"ABLY_CLIENTS is {clients!r}, known: 'ably', 'pusher'")
        if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
            raise ConfigurationError(
                "ABLY_ENDPOINT is neither the name of a cluster nor that of a host, without a scheme"
            )
        self._key = key
        self._adapter = clients == "pusher"
        self._address = (endpoint, port and int(port))

    @property
    def signer(self) -> AblySigner:
        """What signs for clients of the Pusher adapter; those of Ably itself have `token_request()`."""
        name, _, secret = self._key.partition(":")
        return AblySigner(Credentials(name, secret))

    def requests(self, message: Message) -> list[HttpRequest]:
        """Return one request for each hundred channels."""
        return list(requests_for([self._publication(message)]))

    def requests_for_many(self, messages: Sequence[Message]) -> Iterator[HttpRequest]:
        """Return requests for many messages each, once all are checked."""
        return requests_for([self._publication(message) for message in messages])

    def check(self, response: HttpResponse) -> None:
        """Raise `DeliveryError` for what is not Ably's answer."""
        if not is_ablys(response):
            reason = f"the server answered {response.status}, but not as Ably does"
            raise DeliveryError(reason, driver=self.name, status=response.status)

    def token_request(
        self,
        capability: Mapping[_Named, Iterable[str] | None],
        *,
        client_id: str | None = None,
        ttl: float | None = None,
    ) -> dict[str, Any]:
        """Sign a request by which one of Ably's own clients gets a token from Ably; nothing is sent.

        *capability* has operations by channel; None stands for `subscribe`, and on a presence channel
        `presence` besides. A name with a colon or an asterisk is Ably's own, as in `public:*`. *client_id*
        is who the client is; *ttl* is in seconds, None for Ably's hour.
        Raises `InvalidChannelName`, or `ConfigurationError` for a token that would be good for nothing.
        """
        wanted: dict[str, list[str]] = {}
        for channel, operations in capability.items():
            resource = resource_of(str(channel), adapter=self._adapter)
            wanted[resource] = _by_default(resource) if operations is None else _listed(operations)
        if not wanted or not all(wanted.values()) or (ttl is not None and ttl < 0.001):
            raise ConfigurationError("a token needs a channel, operations on each, and time")
        return token_request(self._key, wanted, client_id=client_id, ttl=ttl)

    def _publication(self, message: Message) -> Publication:
        """Check *message*, and say it as Ably has it; its data is JSON text already, and stays that."""
        try:
            return Publication(self._names(message.channels), encoded(self._content(message)))
        except InvalidChannelName as error:
            raise DeliveryError(str(error), driver=self.name, status=400) from error
        except UnicodeEncodeError as error:
            reason = f"{message.name!r} holds a lone surrogate, which UTF-8 cannot express"
            raise DeliveryError(reason, driver=self.name, status=400) from error
        except (ValueError, RecursionError) as error:
            reason = f"the data of {message.name!r} is no JSON that can be read"
            raise DeliveryError(reason, driver=self.name, status=400) from error

    def _names(self, channels: Iterable[str]) -> list[str]:
        names: dict[str, None] = {}
        for channel in channels:
            names[ably_name(channel, adapter=self._adapter)] = None
            if kind_of(channel) is Kind.ENCRYPTED:
                reason = f"cannot encrypt, and does not send {channel!r} in the clear"
                raise DeliveryError(reason, driver=self.name, status=400)
        return list(names)

    def _content(self, message: Message) -> dict[str, str]:
        data = message.data
        if self._adapter:
            data = with_socket(data, encoded(message.except_socket).decode())
        return {
            "name": message.name,
            "data": data,
            "encoding": "json",
            # By its id Ably drops a repeat; the number counts the messages published as one.
            "id": f"{message.id}:0",
            **connection_of(message.except_socket, adapter=self._adapter),
        }

    def _attempts(self, request: HttpRequest) -> Attempts:
        return ably_attempts(request, driver=self.name, retries=self._retries)

    def _opened(self) -> AblyClient:
        connect, read = self._timeouts
        endpoint, port = self._address
        return AblyClient(
            key=self._key,
            endpoint=endpoint,
            port=port,
            connect_timeout=connect,
            read_timeout=read,
            fallback=self._retries > 0,
        )


def _by_default(resource: str) -> list[str]:
    return ["subscribe", "presence"] if resource.startswith("presence:") else ["subscribe"]


def _listed(operations: Iterable[str]) -> list[str]:
    return [operations] if isinstance(operations, str) else list(operations)
