"""SQLAlchemy models that announce their changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Column, select
from sqlalchemy.orm import InstanceState, Mapper, Session, UOWTransaction, object_session
from sqlalchemy.orm import exc as orm_exc
from sqlalchemy.orm.attributes import instance_state

from broadcaster.channels import PrivateChannel
from broadcaster.contrib.models import (
    AnnouncesChanges,
    Change,
    ModelEvent,
    channel_by_key,
    check_column,
    is_trashed,
    shown,
    update_of,
)
from broadcaster.contrib.sqlalchemy.commits import (
    Sessions,
    classes_of,
    follow_commits,
    is_made_by,
    listen,
    transaction_of,
)
from broadcaster.manager import BroadcastManager

__all__ = ["BroadcastsEvents", "broadcast_models", "channel_of"]

# Managers that announce, with the classes of their sessions. Global as the events of SQLAlchemy are; a
# manager that is gone, as those of earlier tests are, announces nothing.
_managers: WeakKeyDictionary[BroadcastManager, tuple[type, ...]] = WeakKeyDictionary()


def channel_of(model: object) -> PrivateChannel:
    """Return the channel of a model: `private-blog.models.Post.7`; the parts of a key have commas between.

    Raises `InvalidChannelName` when it has no key yet, or one that no name may hold.
    """
    try:
        state = instance_state(cast("Any", model))
    except orm_exc.NO_STATE:
        raise TypeError(f"{model!r} is neither a channel nor a model") from None
    # The key of a row that is there needs no loading, which would fail for a row that is gone.
    return channel_by_key(type(model), state.identity or state.mapper.primary_key_from_instance(model))


class BroadcastsEvents(AnnouncesChanges):
    """Mixin of a mapped class whose changes are announced, once `broadcast_models()` was called.

    What is written by statements, `session.execute(update(Post))` and the `bulk_` methods, is not.
    """

    broadcast_channel_of = staticmethod(channel_of)

    def broadcast_columns(self) -> dict[str, Any]:
        """Return the columns that are not hidden, by the names of their attributes.

        Without those that are loaded on demand: `deferred()`.
        """
        mapper: Mapper[Any] = instance_state(self).mapper
        columns = [prop for prop in mapper.column_attrs if isinstance(prop.columns[0], Column)]
        at_hand = {prop.key for prop in columns if not prop.deferred}
        names = shown(type(self), [prop.key for prop in columns])
        return {name: getattr(self, name) for name in names if name in at_hand}


def broadcast_models(broadcast: BroadcastManager, *sessions: Sessions) -> None:
    """Announce what sessions write of models that are `BroadcastsEvents`, after the commit.

    With *sessions* only what theirs write, as in `follow_commits()`, which this calls. Name, channels and
    data are settled by the flush, inside the transaction.
    """
    follow_commits(broadcast, *sessions)
    _managers[broadcast] = (*_managers.get(broadcast, ()), *classes_of(sessions))
    listen(BroadcastsEvents, _OF_MODELS, propagate=True)
    listen(Session, _OF_SESSIONS)


def _note_insert(_mapper: object, _connection: object, model: BroadcastsEvents) -> None:
    _note(model, "created")


def _note_update(mapper: Mapper[Any], _connection: object, model: BroadcastsEvents) -> None:
    # Before the update: afterwards an attribute that was set to an expression of SQL shows no change.
    session, column = object_session(model), model.broadcast_soft_delete
    if session is None or not session.is_modified(model, include_collections=False):
        return
    if column is None:
        _note(model, "updated")
        return
    was_trashed, trashed = _soft_delete(session, mapper, instance_state(model), column)
    _note(model, *update_of(was_trashed=was_trashed, trashed=trashed))


def _announce_delete(_mapper: object, _connection: object, model: BroadcastsEvents) -> None:
    # Before the delete: afterwards nothing can be loaded any more.
    if (session := object_session(model)) is not None:
        _send(session, [model.broadcast_event("deleted")])


def _begin_flush(session: Session, _flush: UOWTransaction, _objects: object) -> None:
    session.info[__name__] = []  # what an earlier flush noted may have failed


def _end_flush(session: Session, _flush: UOWTransaction) -> None:
    # Not before: only here has a new model its identity, which it takes to load what the database chose.
    noted: list[tuple[BroadcastsEvents, tuple[Change, ...]]] = session.info.pop(__name__)
    _send(session, [model.broadcast_event(change) for model, changes in noted for change in changes])


_OF_MODELS: dict[str, Callable[..., None]] = {
    "before_insert": _note_insert,
    "before_update": _note_update,
    "before_delete": _announce_delete,
}
_OF_SESSIONS: dict[str, Callable[..., None]] = {
    "before_flush": _begin_flush,
    "after_flush_postexec": _end_flush,
}


def _note(model: BroadcastsEvents, *changes: Change) -> None:
    if (session := object_session(model)) is not None:
        session.info[__name__].append((model, changes))


def _send(session: Session, events: list[ModelEvent]) -> None:
    for broadcast, classes in list(_managers.items()):
        if is_made_by(session, classes):
            with transaction_of(session):
                for to_others, together in groupby(events, lambda event: event.model.broadcast_to_others):
                    broadcast.send_many(together, to_others=to_others)


def _soft_delete(
    session: Session, mapper: Mapper[Any], state: InstanceState[Any], column: str
) -> tuple[bool, bool]:
    """Return whether the row was deleted softly, and whether it is about to be; no for both if that stays."""
    check_column(mapper.class_, column, mapper.column_attrs.keys(), setting="broadcast_soft_delete")
    history = state.attrs[column].history
    if not history.has_changes():
        return False, False
    if history.deleted:
        before = history.deleted[0]
    else:
        # It was set while it was not loaded, so only the database knows.
        key = zip(mapper.primary_key, state.identity or (), strict=True)
        rows = select(getattr(mapper.class_, column))
        before = session.scalar(rows.where(*(part == value for part, value in key)))
    return is_trashed(before), is_trashed(next(iter(history.added), None))
