"""Signed requests, by the official Pusher SDK: the one module that imports it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import quote

from broadcaster.drivers.requests import HttpRequest
from broadcaster.errors import ConfigurationError, MissingExtra

try:
    from pusher.client import Client
    from pusher.http import GET, POST, Request, make_query_string
    from pusher.signature import sign
except ImportError as error:
    # The SDK imports PyNaCl at once, whether anything is encrypted or not.
    package = (error.name or "pusher").partition(".")[0]
    raise MissingExtra(package, extra="encrypted" if package == "nacl" else "pusher") from error

__all__ = ["PusherApp"]

_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?", re.ASCII)


class PusherApp:
    """One application at one server: makes its requests.

    Signed is what a request says, decoded; percent-encoded is only how it travels.
    Raises `ConfigurationError`, which names the variable that is wrong and never its value.
    """

    def __init__(  # noqa: PLR0913 - the options of the driver, by name
        self,
        *,
        app_id: str,
        key: str,
        secret: str,
        cluster: str | None,
        host: str | None,
        port: int | None,
        scheme: str,
        path: str,
    ) -> None:
        if not (app_id and key and secret):
            raise ConfigurationError("PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET must not be empty")
        if scheme not in {"http", "https"}:
            raise ConfigurationError(f"PUSHER_SCHEME must be 'http' or 'https', not {scheme!r}")
        # The SDK knows where an application lives. It would take digits only for an id, but reads none.
        self._client = Client(
            "0", key, secret, ssl=scheme == "https", host=host, cluster=cluster, port=port, backend=_nothing
        )
        self._root = ("apps", app_id)
        below = quote(path.strip("/"), safe="/%~")
        self._address = f"{scheme}://{_authority(self._client.host)}:{self._client.port}"
        self._address += f"/{below}" if below else ""

    def post(
        self,
        *path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        completes: int = 0,
    ) -> HttpRequest:
        """Make the request that posts *body* to a path below that of the application."""
        whole = (*self._root, *path)
        request = Request(self._client, POST, "/" + "/".join(whole), body)
        url = self._url(whole, request.query_params)
        headers = {**request.headers, **(headers or {})}
        return HttpRequest(POST, url, request.body, headers, repeatable, completes)

    def get(self, *path: str, **query: str) -> HttpRequest:
        """Make the request that asks for a path below that of the application; it may be repeated."""
        whole = (*self._root, *path)
        # Not the SDK's `Request`: it signs the digest of a body that is not there, and servers differ in
        # what they make of it (Reverb leaves it out of what it checks).
        params = {
            **query,
            "auth_key": self._client.key,
            "auth_timestamp": f"{time.time():.0f}",
            "auth_version": "1.0",
        }
        text = "\n".join([GET, "/" + "/".join(whole), make_query_string(params)])
        params["auth_signature"] = sign(self._client.secret, text)
        return HttpRequest(GET, self._url(whole, params), repeatable=True)

    def _url(self, path: tuple[str, ...], params: Mapping[str, str]) -> str:
        query = "&".join([f"{name}={_value(value)}" for name, value in params.items()])
        return f"{self._address}/{'/'.join(map(_segment, path))}?{query}"


def _nothing(_client: Client) -> None:
    """Stand in for the SDK's own transport."""


@lru_cache(maxsize=1_024)
def _segment(text: str) -> str:
    # Characters of channel names stay as they are: not every server decodes before it checks.
    return quote(text, safe="=@,;")


def _value(text: str) -> str:
    # Most are digits and digests, and need no second look.
    return text if text.isascii() and text.isalnum() else quote(text, safe=",")


def _authority(host: str) -> str:
    if ":" in host:
        try:
            return f"[{IPv6Address(host.removeprefix('[').removesuffix(']'))}]"
        except ValueError:
            pass
    elif _HOST.fullmatch(host):
        return host
    raise ConfigurationError(
        "PUSHER_HOST or PUSHER_APP_CLUSTER is wrong: a host is a name or an IP address, "
        "the rest goes to PUSHER_SCHEME, PUSHER_PORT and PUSHER_PATH"
    )
