"""Which sites' pages may connect: the `Origin` that a browser tells, against a list of patterns.

Rules of the header: <https://www.rfc-editor.org/rfc/rfc6454#section-7>.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from broadcaster.errors import ConfigurationError

__all__ = ["Origins"]

_PATTERN = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}|\*))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A scheme, a host and a port, None for any; a host that begins with a dot is that of its subdomains."""

    scheme: str | None
    host: str
    port: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _PATTERN.fullmatch(text.lower().removesuffix("/"))
        if found is None:
            raise ConfigurationError(
                f"no origin: {text!r}; write https://example.com, *.example.com, example.com:8443 or *"
            )
        scheme, host, port = found["scheme"], found["host"], found["port"]
        if port is None and scheme is not None:
            port = _DEFAULT_PORTS.get(scheme)
        return cls(scheme, host.removeprefix("*"), None if port == "*" else port)

    def matches(self, scheme: str, host: str, port: str | None) -> bool:
        same_host = host.endswith(self.host) if self.host.startswith(".") else host == self.host
        return same_host and self.scheme in {None, scheme} and self.port in {None, port}


class Origins:
    """The patterns of one application; raises `ConfigurationError` for one that is none.

    A pattern without a scheme or a port allows any; `*.example.com` allows every subdomain and not the
    domain itself; `*` allows everything, and so does an empty list.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._all = not patterns or "*" in patterns
        self._null = "null" in patterns
        self._patterns = [_Pattern.parse(text) for text in patterns if text not in {"*", "null"}]

    def allow(self, origin: str | None) -> bool:
        """Tell whether a page of *origin* may connect; what sends none is no page, and could send any."""
        if self._all or origin is None:
            return True
        if origin == "null":
            return self._null
        found = _PATTERN.fullmatch(origin.lower())
        if found is None or found["scheme"] is None or found["host"].startswith("*") or found["port"] == "*":
            return False
        port = found["port"] or _DEFAULT_PORTS.get(found["scheme"])
        return any(pattern.matches(found["scheme"], found["host"], port) for pattern in self._patterns)
