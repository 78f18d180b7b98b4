"""Where a client really is, when a proxy stands between."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from broadcaster.errors import ConfigurationError

__all__ = ["Proxies"]

_MOST_HOPS = 32


class Proxies:
    """The proxies in front of a server: *trusted* are those whose `X-Forwarded-For` is believed.

    They are addresses, or networks such as `10.0.0.0/8`; anything else raises `ConfigurationError`. With
    *protocol* every connection must begin with a header of the PROXY protocol.
    """

    def __init__(self, trusted: Iterable[str] = (), *, protocol: bool = False) -> None:
        self.protocol = protocol
        try:
            self._networks = [ip_network(text) for text in trusted]
        except ValueError as error:
            raise ConfigurationError(f"trusted proxies are addresses or networks: {error}") from None

    def client_of(self, peer: str, headers: Iterable[tuple[str, str]]) -> str:
        """Return the address of the client behind *peer*, by the headers of its request.

        That is the last one in `X-Forwarded-For` that no trusted proxy has: what comes before it is what
        the client itself claims.
        """
        if not self._networks or not self._trusts(peer):
            return peer
        claimed = ",".join(value for name, value in headers if name.lower() == "x-forwarded-for")
        found = peer
        for hop in reversed(claimed.split(",")[-_MOST_HOPS:]):
            address = _address(hop)
            if address is None:
                break
            found = address
            if not self._trusts(address):
                break
        return found

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def _address(hop: str) -> str | None:
    """Return the address in one hop, which may have a port; None where there is none."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
