"""One frame to many connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broadcaster.protocol.effects import Push
from broadcaster.protocol.tally import Tally

__all__ = ["Fanout"]

_LARGE = 512
"""From so many characters compressing a message gains more than it costs."""


class Fanout:
    """Writes frames: *encode* and *deflate* are called once for each, however many connections get it."""

    def __init__(self, encode: Callable[[str], Any], deflate: Callable[[str], Any] | None) -> None:
        self._encode = encode
        self._deflate = deflate

    def push(self, push: Push, tally: Tally) -> None:
        """Write to every connection that is to have it."""
        payload, without = self._encode(push.text), push.without
        sent = len(push.to)
        if self._deflate is not None and len(push.text) >= _LARGE:
            sent -= self._write_large(push, payload, self._deflate)
        else:
            for connection in push.to:
                if connection is not without:
                    connection.wire.write(payload)
                else:
                    sent -= 1
        # Once for all of them: whoever counted inside the loop would make every subscriber pay.
        tally.frames_sent += sent
        tally.bytes_sent += sent * len(payload)

    def _write_large(self, push: Push, payload: Any, deflate: Callable[[str], Any]) -> int:
        """Write it compressed to those who take that; return how many were left out."""
        deflated, left_out = None, 0
        for connection in push.to:
            if connection is push.without:
                left_out += 1
            elif not connection.wire.deflated:
                connection.wire.write(payload)
            else:
                if deflated is None:
                    deflated = deflate(push.text)
                connection.wire.write(deflated)
        return left_out
