"""Which slot of a Redis Cluster a name is in, and who owns the slots."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["SLOTS", "owned_ranges", "slot_of"]

SLOTS = 16_384


def slot_of(name: bytes) -> int:
    """Return the slot of *name*; what stands between the first braces in it, if anything, counts alone."""
    _, opened, after = name.partition(b"{")
    tag, closed, _ = after.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else name, 0) % SLOTS


def owned_ranges(answer: Sequence[Sequence[Any]], *, asked: str) -> Iterator[tuple[slice, str, int]]:
    """Read what the host *asked* answers to CLUSTER SLOTS: slots, and host and port of their owner."""
    for first, last, (host, port, *_), *_replicas in answer:
        # A node that does not know its own address leaves it out: it is where it was asked.
        yield slice(first, last + 1), asked if host in {None, b"", b"?"} else host.decode(), port
