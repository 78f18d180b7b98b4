"""Publications at Ably, and the requests that they fit into.

Limits: <https://ably.com/docs/messages/batch#batch-requests>.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from broadcaster.drivers.requests import HttpRequest

__all__ = ["Publication", "encoded", "requests_for"]

_CHANNELS = 100
_PUBLICATIONS = 100
_BYTES = 2 * 1024 * 1024 - 1024


@dataclass(frozen=True, slots=True)
class Publication:
    """One *message*, encoded, for several *channels*, all as Ably has them."""

    channels: Sequence[str]
    message: bytes

    def encoded(self) -> bytes:
        """Return the `BatchSpec`."""
        return b'{"channels":%b,"messages":%b}' % (encoded(self.channels), self.message)

    def split(self) -> Iterator[Publication]:
        """Yield parts with no more channels than a request may have."""
        for start in range(0, len(self.channels), _CHANNELS):
            yield Publication(self.channels[start : start + _CHANNELS], self.message)


def encoded(content: object) -> bytes:
    """Return *content* as JSON in UTF-8; raises `UnicodeEncodeError` for a lone surrogate."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def requests_for(publications: Iterable[Publication]) -> Iterator[HttpRequest]:
    """Yield as few requests as take the *publications* in order.

    What one request has for a channel, Ably publishes in the order it stands there. A repeat is dropped
    for its id, so that every request is repeatable.
    """
    held: list[Publication] = []
    channels: set[str] = set()
    size = number = 0
    parts = ((number, part) for number, whole in enumerate(publications) for part in whole.split())
    for number, publication in parts:
        more = len(publication.encoded()) + 1
        together = channels.union(publication.channels)
        full = len(held) == _PUBLICATIONS or len(together) > _CHANNELS or size + more > _BYTES
        if held and full:
            yield _request(held, completes=number)
            held, together, size = [], set(publication.channels), 0
        held.append(publication)
        channels, size = together, size + more
    if held:
        yield _request(held, completes=number + 1)


def _request(publications: Sequence[Publication], *, completes: int) -> HttpRequest:
    if len(publications) == 1:
        (publication,) = publications
        if len(publication.channels) == 1:
            path = f"/channels/{quote(publication.channels[0], safe=':')}/messages"
            return HttpRequest("POST", path, publication.message, repeatable=True, completes=completes)
    body = b"[%b]" % b",".join(publication.encoded() for publication in publications)
    return HttpRequest("POST", "/messages", body, repeatable=True, completes=completes)
