"""What is found out about a class once, and forgotten together with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

__all__ = ["once_per_class"]

T = TypeVar("T")


def once_per_class(find: Callable[[type], T]) -> Callable[[type], T]:
    """Let *find* be asked about each class once; what it returns must not refer to the class."""
    # Not `functools.cache`, which would keep every class alive that was made for the moment.
    known: WeakKeyDictionary[type, T] = WeakKeyDictionary()

    def found(cls: type) -> T:
        try:
            return known[cls]
        except KeyError:
            pass  # what *find* raises must not look as if this had caused it
        known[cls] = answer = find(cls)
        return answer

    return found
