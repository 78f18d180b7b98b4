"""One application that a server serves: who it is, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass, field

from broadcaster.protocol.limits import Limits
from broadcaster.protocol.webhooks import Webhook
from broadcaster.signing import Credentials

__all__ = ["App"]


@dataclass(frozen=True, slots=True)
class App:
    """One application: its *id* in the HTTP API, the *key* that clients give, the *secret* that signs.

    Nothing crosses from one application to another. *client_events* lets clients whisper to each other;
    *subscription_counts* tells the subscribers of a channel how many they are. *origins* are the sites
    whose pages may connect, such as `https://example.com` or `*.example.com`; without any, all may.
    *history* names the channels whose latest events a client may ask for when it comes back, `*` standing
    for anything in a name. *other_keys* are taken as well, so that a key can be replaced while both are in
    use. *webhooks* hear what happens. *refuse_replays* takes a signed POST of the HTTP API once: one that is
    repeated, or says the very same in the same second, is refused. One that is not *enabled* refuses every
    connection and request.
    """

    id: str
    key: str
    secret: str = field(repr=False)
    client_events: bool = True
    limits: Limits = field(default_factory=Limits)
    subscription_counts: bool = False
    origins: tuple[str, ...] = ()
    other_keys: tuple[Credentials, ...] = ()
    enabled: bool = True
    history: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    refuse_replays: bool = False

    @property
    def credentials(self) -> Credentials:
        """The key and the secret."""
        return Credentials(self.key, self.secret)

    @property
    def keyring(self) -> dict[str, Credentials]:
        """Every pair that is taken, by its key; the first is the application's own."""
        return {pair.key: pair for pair in (self.credentials, *self.other_keys)}
