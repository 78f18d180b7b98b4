"""Events that wait for the commit of a SQLAlchemy session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import ReferenceType, ref

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_session, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from broadcaster.manager import BroadcastManager

__all__ = ["Sessions", "classes_of", "follow_commits", "is_made_by", "listen", "transaction_of"]

Sessions: TypeAlias = (
    type[Session | AsyncSession]
    | sessionmaker[Any]
    | scoped_session[Any]
    | async_sessionmaker[Any]
    | async_scoped_session[Any]
)
"""What makes sessions: a class, a factory, or a registry around one."""

_logger = logging.getLogger("broadcaster")

# Root transactions begun by the code in progress, the latest last. The values never change in place, since
# tasks inherit them: one task must not see what another begins.
_begun: ContextVar[tuple[ReferenceType[SessionTransaction], ...]] = ContextVar(
    "broadcaster_begun", default=()
)
# The event loop itself holds no task that it runs.
_carrying: set[asyncio.Task[None]] = set()
_chosen: ContextVar[ReferenceType[Session] | None] = ContextVar("broadcaster_chosen", default=None)


def follow_commits(broadcast: BroadcastManager, *sessions: Sessions) -> None:
    """Let events marked `ShouldDispatchAfterCommit` wait for the open transaction of a session.

    That is the one begun last by the task, or the thread, that sends; see `transaction_of()` for others.
    With *sessions* only theirs count, without any those of every session of the process. An
    `async_sessionmaker` stands for all sessions of its class, so give it a class of its own. Events are
    published after the COMMIT of the root transaction, in the order they were sent. An `AsyncSession`
    waits for that without blocking its event loop, a `Session` blocks as `send()` does.
    """
    listen(Session, _LISTENERS)
    broadcast.follow(_Finder(classes_of(sessions)))


@contextmanager
def transaction_of(session: Session | AsyncSession) -> Iterator[None]:
    """Let what is sent inside wait for this session's transaction, whoever began it.

    While it has none open, events leave at once. It takes a manager that follows commits.
    """
    token = _chosen.set(ref(session.sync_session if isinstance(session, AsyncSession) else session))
    try:
        yield
    finally:
        _chosen.reset(token)


def classes_of(sessions: Sequence[Sessions]) -> tuple[type, ...]:
    """Return the classes of what *sessions* make; every session when there are none."""
    return tuple(_class_of(maker) for maker in sessions) or (Session,)


def is_made_by(session: Session, classes: tuple[type, ...]) -> bool:
    """Whether *session*, or the async one around it, is of one of these classes."""
    return isinstance(session, classes) or isinstance(async_session(session), classes)


def listen(target: type, listeners: Mapping[str, Callable[..., None]], **how: Any) -> None:
    """Register SQLAlchemy's *listeners* by the names of their events; a second time changes nothing."""
    for name, listener in listeners.items():
        if not event.contains(target, name, listener):
            event.listen(target, name, listener, **how)


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds the open transaction among the sessions of some classes; equal ones count once."""

    classes: tuple[type, ...]

    def __call__(self) -> _Waiting | None:
        if (chosen := _chosen.get()) is not None:
            session = chosen()
            return _waiting(session) if session is not None and session.in_transaction() else None
        for transaction in reversed(_open()):
            if is_made_by(transaction.session, self.classes):
                return _waiting(transaction.session)
        return None


@dataclass(slots=True)
class _Waiting:
    """What waits for a transaction, or was sent inside a savepoint."""

    sends: list[tuple[Callable[[], None], Callable[[], Awaitable[None]]]] = field(default_factory=list)
    committed: bool = False

    def after_commit(self, carry: Callable[[], None], acarry: Callable[[], Awaitable[None]]) -> None:
        """Keep both until the transaction ends."""
        self.sends.append((carry, acarry))


def _class_of(maker: Sessions) -> type:
    match maker:
        case scoped_session() | async_scoped_session():
            return _class_of(maker.session_factory)
        case sessionmaker() | async_sessionmaker():
            return maker.class_
        case type() if issubclass(maker, Session | AsyncSession):
            return maker
    raise TypeError(f"{maker!r} makes no sessions; pass a class of sessions, a sessionmaker or a registry")


def _open() -> list[SessionTransaction]:
    """Return the transactions begun here that are still the ones of their sessions."""
    begun = (reference() for reference in _begun.get())
    return [found for found in begun if found is not None and found.session.get_transaction() is found]


def _waiting(session: Session) -> _Waiting:
    """Return what waits for the innermost savepoint of *session*, or for its transaction."""
    transaction = session.get_nested_transaction() or session.get_transaction()
    waiting: _Waiting = _all_waiting(session).setdefault(transaction, _Waiting())
    return waiting


def _all_waiting(session: Session) -> dict[SessionTransaction | None, _Waiting]:
    found: dict[SessionTransaction | None, _Waiting] = session.info.setdefault(__name__, {})
    return found


def _note_begin(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        _begun.set((*map(ref, _open()), ref(transaction)))


def _note_commit(session: Session) -> None:
    _waiting(session).committed = True


def _note_end(session: Session, transaction: SessionTransaction) -> None:
    # Not at the commit itself: only here does the session hold no connection any more, and may begin anew.
    ended = _all_waiting(session).pop(transaction, None)
    if ended is None or not ended.sends:
        return
    if not ended.committed:
        _logger.debug("a transaction ended without a commit: what was sent in it is forgotten")
    elif transaction.nested:
        _waiting(session).sends += ended.sends
    elif in_greenlet():
        await_only(_carried([acarry for _, acarry in ended.sends]))
    else:
        for number, (carry, _) in enumerate(ended.sends, 1):
            with _telling(len(ended.sends) - number):
                carry()


async def _carried(sends: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Carry *sends* out, also where the one who commits does not wait for it: what is committed stays so."""
    task = asyncio.ensure_future(_one_by_one(sends))
    _carrying.add(task)
    task.add_done_callback(_carrying.discard)
    await asyncio.shield(task)


async def _one_by_one(sends: Sequence[Callable[[], Awaitable[None]]]) -> None:
    for number, acarry in enumerate(sends, 1):
        with _telling(len(sends) - number):
            await acarry()


@contextmanager
def _telling(left: int) -> Iterator[None]:
    """Tell how many sends are *left* where one comes to an end with all that runs: an error is logged."""
    try:
        yield
    except BaseException:
        if left:
            _logger.error("%d more sends after a commit were not begun", left)  # noqa: TRY400
        raise


_LISTENERS: dict[str, Callable[..., None]] = {
    "after_transaction_create": _note_begin,
    "after_commit": _note_commit,
    "after_transaction_end": _note_end,
}
