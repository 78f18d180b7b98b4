"""One frame to many connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from broadcaster.protocol.effects import Push
from broadcaster.protocol.subscribers import Audience
from broadcaster.protocol.tally import Tally

__all__ = ["Fanout"]

_LARGE = 512
"""From so many characters compressing a message gains more than it costs."""


class _Crowd(Protocol):
    @property
    def deflated(self) -> bool: ...

    def write(self, payload: Any, without: Any, deflated: Any = None, /) -> int: ...


class Fanout:
    """Writes frames: *encode* and *deflate* are called once for each, however many connections get it.

    *gather* makes a crowd of the connections of a channel, to which it writes as to one.
    """

    def __init__(
        self,
        encode: Callable[[str], Any],
        deflate: Callable[[str], Any] | None,
        gather: Callable[[Audience], _Crowd] | None = None,
    ) -> None:
        self._encode = encode
        self._deflate = deflate
        self._gather = gather

    def push(self, push: Push, tally: Tally) -> None:
        """Write to every connection that is to have it."""
        payload, to = self._encode(push.text), push.to
        if self._gather is not None and isinstance(to, Audience):
            sent = self._write_to_crowd(push, payload, to.crowd or self._crowd_of(to, self._gather))
        else:
            sent = self._write_to_each(push, payload)
        # Once for all of them: whoever counted inside the loop would make every subscriber pay.
        tally.frames_sent += sent
        tally.bytes_sent += sent * len(payload)

    def _crowd_of(self, audience: Audience, gather: Callable[[Audience], _Crowd]) -> _Crowd:
        crowd: _Crowd = gather(audience)
        audience.crowd = crowd
        return crowd

    def _write_to_crowd(self, push: Push, payload: Any, crowd: _Crowd) -> int:
        without: Any = None if push.without is None else push.without.wire
        deflate = self._deflate_for(push.text)
        deflated = deflate(push.text) if deflate is not None and crowd.deflated else None
        return crowd.write(payload, without and without.outbox, deflated)

    def _write_to_each(self, push: Push, payload: Any) -> int:
        """Write it, compressed to those who take that; return how many they are."""
        left_out = 0
        deflate = self._deflate_for(push.text)
        deflated: Any = None
        if deflate is not None and any(connection.wire.deflated for connection in push.to):
            deflated = deflate(push.text)
        for connection in push.to:
            if connection is push.without:
                left_out += 1
            else:
                wire = connection.wire
                wire.write(payload if deflated is None or not wire.deflated else deflated)
        return len(push.to) - left_out

    def _deflate_for(self, text: str) -> Callable[[str], Any] | None:
        """Return what compresses *text*, where that is worth asking who takes it so."""
        return self._deflate if len(text) >= _LARGE else None
