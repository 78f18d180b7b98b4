"""Patterns of channel names, in which `*` stands for anything."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Patterns"]


class Patterns:
    """Several patterns at once; without any, nothing matches."""

    def __init__(self, patterns: Iterable[str]) -> None:
        words = ["".join(".*" if char == "*" else re.escape(char) for char in text) for text in patterns]
        self._pattern = re.compile("|".join(words)) if words else None

    def match(self, channel: str) -> bool:
        """Tell whether one of them matches the whole of *channel*."""
        return self._pattern is not None and self._pattern.fullmatch(channel) is not None
