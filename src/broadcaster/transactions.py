"""Transactions that events wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

__all__ = ["Finder", "Transaction", "Transactions"]


class Transaction(Protocol):
    """A database transaction in progress, or a savepoint in one."""

    def after_commit(self, carry: Callable[[], None], acarry: Callable[[], Awaitable[None]]) -> None:
        """Call one of the two once the root transaction has committed; forget both after a rollback.

        *acarry* is for code that must not block its event loop. Neither raises what could be mistaken for
        a commit that went wrong. What came first is called first.
        """


Finder: TypeAlias = Callable[[], Transaction | None]
"""Returns the open transaction of the code in progress, or None."""


class Transactions:
    """The transactions that *finders* know of."""

    def __init__(self) -> None:
        self._finders: list[Finder] = []

    def follow(self, finder: Finder) -> None:
        """Ask *finder* too from now on, after those that came before it; a second time changes nothing."""
        if finder not in self._finders:
            self._finders.append(finder)

    def current(self) -> Transaction | None:
        """Return the open transaction of the code in progress; None when there is none."""
        found = (finder() for finder in self._finders)
        return next((transaction for transaction in found if transaction is not None), None)
