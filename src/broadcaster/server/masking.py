"""The mask that a client lays over what it sends: by a compiled function where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

__all__ = ["unmask", "unmask_in_python"]

Unmask: TypeAlias = Callable[[bytes | bytearray, bytes | bytearray], bytes]


def unmask_in_python(data: bytes | bytearray, key: bytes | bytearray) -> bytes:
    """Return *data* without the mask that the four bytes of *key* make."""
    size = len(data)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


try:
    from websockets.speedups import apply_mask
except ImportError:
    # The library's wheels have it; where it was installed without a compiler it is missing.
    unmask: Unmask = unmask_in_python
else:
    unmask = cast("Unmask", apply_mask)
