"""Query strings, decoded within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from broadcaster._forms import read_form

__all__ = ["parse_query", "read_params"]

_MOST_PARAMS = 64


def parse_query(query: str) -> list[tuple[str, str]]:
    """Decode a query string; raise ValueError for one with more than 64 parameters."""
    return read_form(query, most=_MOST_PARAMS)


@lru_cache(maxsize=128)
def read_params(query: str) -> Mapping[str, str]:
    """Decode the query of a WebSocket's address; one that cannot be read is as good as none.

    Clients of one kind all come with the same one.
    """
    try:
        return MappingProxyType(dict(parse_query(query)))
    except ValueError:
        return MappingProxyType({})
