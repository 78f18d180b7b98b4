"""Which Redis the options of the driver mean, and how to get in; contradictions are refused."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from broadcaster.drivers._redis_flow import Node, Role, Servers
from broadcaster.drivers._redis_servers import Cluster, Sentinels, Single
from broadcaster.errors import ConfigurationError, named

__all__ = ["Login", "login_of", "servers_of", "settled"]

_PORT = 6379
_SENTINEL_PORT = 26379

_URL = (
    "'url' is expected as redis://user:password@host:port/db, or rediss:// for TLS, with the special"
    " characters of a password percent-encoded"
)

# What takes the place of what: of each line, either the first or any of the others.
_EITHER_OR = {
    "url": ("nodes", "sentinels"),
    "nodes": ("host", "port", "sentinels"),
    "sentinels": ("host", "port"),
}
# What means nothing without something else.
_ONLY_WITH = {
    "sentinels": "sentinel_service",
    "sentinel_service": "sentinels",
    "sentinel_password": "sentinels",
    "username": "password",
}


@dataclass(frozen=True, slots=True)
class Login:
    """How a connection is opened: as whom, to which database, over TLS or not, in how many seconds."""

    connect_timeout: float
    read_timeout: float
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    ca_file: str | None = None

    def arguments(self, node: Node) -> dict[str, Any]:
        """Return what the client needs to know to open a connection to *node*."""
        arguments: dict[str, Any] = {
            "host": node.host,
            "port": node.port,
            "socket_connect_timeout": self.connect_timeout,
            "socket_timeout": self.read_timeout,
            # Anything else costs round trips before the first command, and is of no use here.
            "protocol": 2,
            "driver_info": None,
        }
        if self.tls:
            arguments["ssl_ca_certs"] = self.ca_file
        if node.role is Role.SENTINEL:
            return arguments | {"password": self.sentinel_password}
        return arguments | {"username": self.username, "password": self.password, "db": self.db}


def settled(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the *options* that were given; what a URL says goes before them.

    Raises `ConfigurationError` for options that contradict each other.
    """
    given = {name: value for name, value in options.items() if value is not None}
    _check_together(given)
    if "url" in given:
        given |= _read_url(given.pop("url"))
    if "ca_file" in given:
        if not given.get("tls"):
            raise _error(
                "'ca_file' means nothing without TLS; set 'tls', or use a URL that begins with rediss://"
            )
        _check_authority(given["ca_file"])
    return given


def servers_of(given: Mapping[str, Any]) -> Servers:
    """Return where messages go."""
    if "nodes" in given:
        return Cluster(_nodes(given["nodes"], "nodes", _PORT, Role.SERVER), sharded=given.get("sharded"))
    if "sentinels" in given:
        sentinels = _nodes(given["sentinels"], "sentinels", _SENTINEL_PORT, Role.SENTINEL)
        return Sentinels(sentinels, given["sentinel_service"])
    return Single(Node(given.get("host", "127.0.0.1"), given.get("port", _PORT)))


def login_of(given: Mapping[str, Any], *, connect_timeout: float, read_timeout: float) -> Login:
    """Return how connections are opened."""
    fields = ("username", "password", "sentinel_password", "db", "tls", "ca_file")
    return Login(connect_timeout, read_timeout, **{name: given[name] for name in fields if name in given})


def _check_together(given: Mapping[str, Any]) -> None:
    for name, others in _EITHER_OR.items():
        if name in given and (doubled := given.keys() & set(others)):
            raise _error(f"{name!r} takes the place of {named(doubled)}; give one or the other")
    for name, other in _ONLY_WITH.items():
        if name in given and other not in given:
            raise _error(f"{name!r} means nothing without {other!r}; give both or neither")
    if re.fullmatch(r"[^:]+:[0-9]+", given.get("host", "")):
        raise _error(f"'host' is {given['host']!r}; the port has an option of its own, 'port'")
    if "nodes" in given and given.get("db"):
        raise _error("'db' cannot be chosen in a cluster; leave it out")
    if given.get("sharded") and "nodes" not in given:
        raise _error("'sharded' is for a cluster; name some of its nodes with 'nodes'")


def _read_url(url: str) -> dict[str, Any]:
    # The text holds a password: neither it nor what others say of it goes into an error.
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        port, db = parts.port, int(query.pop("db", "") or parts.path.strip("/") or 0)
    except ValueError:
        raise _error(_URL) from None
    if parts.scheme not in {"redis", "rediss"} or parts.fragment or db < 0:
        raise _error(_URL)
    if query:
        raise _error(f"'url' has options that are not known here: {named(query)}; known: 'db'")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if username and not password:
        raise _error("'url' has a user and no password; a password alone is written redis://:password@host")
    read = {"host": parts.hostname, "port": port, "username": username, "password": password}
    return {name: value for name, value in read.items() if value} | {
        "db": db,
        "tls": parts.scheme == "rediss",
    }


def _nodes(addresses: Iterable[str], option: str, port: int, role: Role) -> list[Node]:
    return [_node(address, option, port, role) for address in addresses]


def _node(address: str, option: str, port: int, role: Role) -> Node:
    # Whoever wrote a URL may have written a password.
    refusal = _error(f"{option!r} has {address.rpartition('@')[2]!r}; expected host:port")
    try:
        parts = urlsplit(f"//{address}")
        host, own_port = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    if not host or parts.netloc != address or "@" in address:
        raise refusal
    return Node(host, own_port or port, role)


def _check_authority(ca_file: str) -> None:
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise _error(f"'ca_file' {ca_file!r} holds no certificates: {error}") from error


def _error(what: str) -> ConfigurationError:
    return ConfigurationError(f"driver 'redis': {what}")
