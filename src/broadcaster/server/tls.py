"""The certificate of a server that does TLS itself."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from broadcaster.errors import ConfigurationError

__all__ = ["Tls"]


@dataclass(frozen=True)
class Tls:
    """The PEM files of a certificate, with the chain above it, and of its key; one file may hold both."""

    cert: str | Path
    key: str | Path | None = None
    context: ssl.SSLContext = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Load both; raise `ConfigurationError` where they cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # WebSockets begin as HTTP/1.1.
        context.set_alpn_protocols(["http/1.1"])
        object.__setattr__(self, "context", context)
        self.reload()

    def reload(self) -> None:
        """Load the files again, for connections to come; raise `ConfigurationError`, and change nothing."""
        # Tried first: a context that fails half-way would have the certificate without the key.
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
            try:
                context.load_cert_chain(self.cert, self.key, password=_no_password)
            except (OSError, ValueError) as error:
                files = " and ".join(repr(str(file)) for file in (self.cert, self.key) if file)
                raise ConfigurationError(f"no certificate can be used from {files}: {error}") from None


def _no_password() -> str:
    # Without this OpenSSL asks for one at the terminal.
    raise ValueError("the key is encrypted; decrypt it, and guard the file")
