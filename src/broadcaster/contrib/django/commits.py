"""Events that wait for the commit of a Django transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction

__all__ = ["open_transaction", "transaction_of"]

_chosen: ContextVar[str | None] = ContextVar("broadcaster_database", default=None)


@contextmanager
def transaction_of(using: str | None) -> Iterator[None]:
    """Let what is sent inside wait for the transaction of the database *using*, and for no other.

    While it has none open, events leave at once. None is the default database.
    """
    token = _chosen.set(using or DEFAULT_DB_ALIAS)
    try:
        yield
    finally:
        _chosen.reset(token)


def open_transaction() -> Waiting | None:
    """Return the `atomic()` block that is open in this thread, or None.

    With several databases it is that of the default one, else of the first in DATABASES that has one; see
    `transaction_of()` for another.
    """
    if (chosen := _chosen.get()) is not None:
        return Waiting(chosen) if connections[chosen].in_atomic_block else None
    found = [conn.alias for conn in connections.all(initialized_only=True) if conn.in_atomic_block]
    if not found:
        return None
    return Waiting(DEFAULT_DB_ALIAS if DEFAULT_DB_ALIAS in found else found[0])


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for the transaction of the database *using*, or was sent inside a savepoint in it."""

    using: str

    def after_commit(self, carry: Callable[[], None], acarry: Callable[[], Awaitable[None]]) -> None:
        """Leave *carry* to `transaction.on_commit()`.

        Never *acarry*: a transaction is open in plain code only, which commits in a thread that may wait.
        """
        transaction.on_commit(carry, using=self.using)
