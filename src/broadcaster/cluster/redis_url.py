"""Where Redis is, as a URL says: one server, the master that sentinels name, or a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from broadcaster.errors import ConfigurationError

__all__ = ["Address", "Nodes", "One", "Watched", "Where", "read_url", "secrets_in"]

_PORT = 6379
_SENTINEL_PORT = 26379

_FORM = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>sentinel|cluster)://"
    r"(?:(?P<login>[^@/?#]*)@)?(?P<hosts>[^@/?#]*)(?:/(?P<path>[^?#]*))?(?:\?(?P<query>[^#]*))?"
)
_EXPECTED = (
    "no address of a Redis; write redis://:password@host:6379/0, or"
    " redis+sentinel://:password@host:26379,host:26379/service, or redis+cluster://:password@host:6379,host:6379"
    " (rediss for TLS), with the special characters of a password percent-encoded"
)


class Address(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class One:
    """The server at *url*."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Watched:
    """The master that *sentinels* name for *service*; how to get in is said by URLs of any address."""

    url: str = field(repr=False)
    sentinel_url: str = field(repr=False)
    sentinels: tuple[Address, ...]
    service: str


@dataclass(frozen=True, slots=True)
class Nodes:
    """The cluster to which *addresses* belong; *url* has any address, and how to get in."""

    url: str = field(repr=False)
    addresses: tuple[Address, ...]


Where: TypeAlias = One | Watched | Nodes


def read_url(url: str) -> Where:
    """Read what `BROADCAST_SERVER_REDIS` says; raise `ConfigurationError`, which shows nothing of it."""
    if "+" not in url.partition(":")[0]:
        return One(url)
    if (form := _FORM.fullmatch(url)) is None:
        raise ConfigurationError(_EXPECTED)
    scheme, login = form["scheme"], form["login"] or ""
    query = dict(parse_qsl(form["query"] or "", keep_blank_values=True))
    path = unquote(form["path"] or "")
    if form["kind"] == "cluster":
        if path.strip("0") or "db" in query:
            raise ConfigurationError("a cluster of Redis has no databases; leave out what follows the nodes")
        return Nodes(_url(scheme, login, query), _addresses(form["hosts"], _PORT))
    password = query.pop("sentinel_password", "")
    if not path or "/" in path:
        raise ConfigurationError(
            "the address of sentinels ends with the name of a master; write"
            " redis+sentinel://:password@host:26379,host:26379/service?db=0"
        )
    options = {name: value for name, value in query.items() if name != "db"}
    sentinel_login = f":{quote(password, safe='')}" if password else ""
    return Watched(
        _url(scheme, login, query),
        _url(scheme, sentinel_login, options),
        _addresses(form["hosts"], _SENTINEL_PORT),
        path,
    )


def secrets_in(url: str) -> list[str]:
    """Return the passwords in *url*, as they stand there and as they are meant."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query)
        found = [parts.password, *(value for name, value in query if name.endswith("password"))]
    except ValueError:
        return []
    return [text for secret in found if secret for text in (secret, unquote(secret))]


def _url(scheme: str, login: str, query: dict[str, str]) -> str:
    return f"{scheme}://{login}@any?{urlencode(query)}"


def _addresses(hosts: str, port: int) -> tuple[Address, ...]:
    return tuple(_address(host, port) for host in hosts.split(","))


def _address(text: str, port: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, own_port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(_EXPECTED) from None
    if not host:
        raise ConfigurationError(_EXPECTED)
    return Address(host, own_port or port)
