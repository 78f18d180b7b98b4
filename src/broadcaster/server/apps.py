"""The applications that a server serves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from broadcaster.errors import ConfigurationError
from broadcaster.protocol.limits import Limits
from broadcaster.signing import Credentials

__all__ = ["App", "check_apps"]


@dataclass(frozen=True, slots=True)
class App:
    """One application: its *id* in the HTTP API, the *key* that clients give, the *secret* that signs.

    Nothing crosses from one application to another. *client_events* lets clients whisper to each other;
    *subscription_counts* tells the subscribers of a channel how many they are.
    """

    id: str
    key: str
    secret: str = field(repr=False)
    client_events: bool = True
    subscription_counts: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def credentials(self) -> Credentials:
        """The key and the secret."""
        return Credentials(self.key, self.secret)


def check_apps(apps: Iterable[App]) -> list[App]:
    """Return *apps* as a list; raise `ConfigurationError` when they cannot be told apart."""
    checked = list(apps)
    if not checked:
        raise ConfigurationError("a server needs at least one App")
    for name in ("id", "key", "secret"):
        values = [getattr(app, name) for app in checked]
        if not all(values):
            raise ConfigurationError(f"an App has an empty {name}")
        if name != "secret" and len(set(values)) < len(values):
            raise ConfigurationError(f"two Apps have the same {name}")
    return checked
