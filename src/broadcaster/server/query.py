"""Query strings, decoded within bounds."""

from __future__ import annotations

from urllib.parse import parse_qsl

__all__ = ["parse_query"]

_MOST_PARAMS = 64


def parse_query(query: str) -> list[tuple[str, str]]:
    """Decode a query string; raise ValueError for one with more than 64 parameters."""
    return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMS)
