"""Which news of a server an application hears, and when: filters, and the pause before bad news.

Rules: <https://pusher.com/docs/channels/server_api/webhooks/>.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from broadcaster.errors import ConfigurationError, named, suggestion
from broadcaster.protocol.effects import Notify
from broadcaster.protocol.patterns import Patterns

__all__ = ["EVENTS", "Pause", "Webhook", "encode_event", "payload"]

EVENTS = (
    "cache_miss",
    "channel_occupied",
    "channel_vacated",
    "client_event",
    "member_added",
    "member_removed",
    "subscription_count",
)
"""Everything that a webhook can tell."""

_RETURNS = {"channel_vacated": "channel_occupied", "member_removed": "member_added"}
_OWN_HEADERS = {"content-length", "content-type", "host", "x-pusher-key", "x-pusher-signature"}
_SECONDS = 3.0
_MOST_HELD = 100_000


@dataclass(frozen=True, slots=True)
class Webhook:
    """The *url* of an application that hears what happens on the server, by signed POST requests.

    It hears of *events* only, where there are some, out of `EVENTS`, and of those *channels*, `*` standing
    for anything in a name. *headers* are sent along. A request tells *events_per_request* at most; one that
    is not answered with a 2xx status is repeated for *retry_seconds*. What waits is *waiting* events at most.
    Raises `ConfigurationError` for one that cannot work.
    """

    url: str
    events: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    events_per_request: int = 100
    retry_seconds: int = 300
    waiting: int = 10_000
    _patterns: Patterns | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_url(self.url)
        for name in self.events:
            if name not in EVENTS:
                raise ConfigurationError(
                    f"a webhook knows no event {name!r}{suggestion(name, EVENTS)}; known: {named(EVENTS)}"
                )
        for name, value in self.headers.items():
            if not (name.isascii() and name.replace("-", "").isalnum() and value.isprintable()):
                raise ConfigurationError(f"a webhook cannot send the header {name!r}")
            if name.lower() in _OWN_HEADERS:
                raise ConfigurationError(
                    f"a webhook sends a {name!r} of its own; leave it out of the headers"
                )
        for name in ("events_per_request", "waiting"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} of a webhook must be at least 1, not {getattr(self, name)}")
        object.__setattr__(self, "_patterns", Patterns(self.channels) if self.channels else None)

    def wants(self, news: Notify) -> bool:
        """Whether this one is told *news*."""
        return (not self.events or news.name in self.events) and (
            self._patterns is None or self._patterns.match(news.channel)
        )


class Pause:
    """Holds back for some seconds that a channel or a member is gone; one that comes back was never away."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], tuple[float, Notify]] = {}

    def take(self, news: Notify, now: float) -> list[Notify]:
        """Return what is to be told now that *news* has come."""
        user_id = str(news.fields.get("user_id", ""))
        if news.name in _RETURNS:
            self._held[_RETURNS[news.name], news.channel, user_id] = (now + _SECONDS, news)
            return self._released(now) if len(self._held) > _MOST_HELD else []
        if (
            news.name in _RETURNS.values()
            and self._held.pop((news.name, news.channel, user_id), None) is not None
        ):
            return []
        return [news]

    def tick(self, now: float) -> list[Notify]:
        """Return what has been held long enough."""
        # In the order in which it came, which is the order of its time too.
        due = [key for key, (at, _) in self._held.items() if at <= now]
        return [self._held.pop(key)[1] for key in due]

    def drain(self) -> list[Notify]:
        """Return all that is held."""
        held, self._held = self._held, {}
        return [news for _, news in held.values()]

    def _released(self, now: float) -> list[Notify]:
        return self.tick(now) or [self._held.pop(next(iter(self._held)))[1]]


def encode_event(news: Notify) -> str:
    """Return *news* as JSON, as it stands in a payload."""
    return json.dumps({"name": news.name, "channel": news.channel, **news.fields}, separators=(",", ":"))


def payload(events: Iterable[str], time_ms: int) -> bytes:
    """Return the body of a request that tells *events*, made *time_ms* milliseconds after 1970."""
    return f'{{"time_ms":{time_ms},"events":[{",".join(events)}]}}'.encode()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or not url.isprintable() or " " in url:
        raise ConfigurationError(f"no address for a webhook: {url!r}; write https://example.com/webhooks")
