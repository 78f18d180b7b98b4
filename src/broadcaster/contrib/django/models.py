"""Django models that announce their changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.fields.files import FieldFile
from django.db.models.signals import class_prepared, post_save, pre_delete, pre_save

from broadcaster.channels import PrivateChannel
from broadcaster.contrib.django.commits import transaction_of
from broadcaster.contrib.models import (
    AnnouncesChanges,
    Change,
    ModelEvent,
    channel_by_key,
    check_column,
    is_trashed,
    pattern_of,
    shown,
    update_of,
)
from broadcaster.errors import ConfigurationError

__all__ = ["BroadcastsEvents", "Change", "ModelEvent", "channel_of", "pattern_of"]

# Where an instance keeps whether its row was deleted softly; nothing is there while nobody knows.
_WAS_TRASHED = "_broadcast_was_trashed"

# Stands for what is not loaded: it is asked for, as what was left to the database to work out.
_NOT_LOADED = models.F("pk")


def channel_of(model: object) -> PrivateChannel:
    """Return the channel of a model: `private-blog.models.Post.7`; the parts of a key have commas between.

    Raises `InvalidChannelName` when it has no key yet, or one that no name may hold.
    """
    if not isinstance(model, models.Model):
        raise TypeError(f"{model!r} is neither a channel nor a model")
    # Not `type()`: the user of a request is wrapped, and says only by `__class__` what it is.
    return channel_by_key(model.__class__, model.pk if isinstance(model.pk, tuple) else (model.pk,))


class BroadcastsEvents(AnnouncesChanges, models.Model):  # type: ignore[misc]
    """Base of a model whose changes are announced after the commit.

    `save()` and `delete()` announce, and what `QuerySet.delete()` and cascades delete is announced too. What
    is written by `QuerySet.update()`, `bulk_create()`, `bulk_update()` and fixtures is not.
    """

    broadcast_channel_of = staticmethod(channel_of)

    class Meta:  # noqa: D106 - Django's
        abstract = True

    @classmethod
    def check(cls, **options: Any) -> list[CheckMessage]:
        """Tell of columns that are hidden, or delete softly, and are not there."""
        found: list[CheckMessage] = super().check(**options)
        columns, soft_delete = _columns(cls), cls.broadcast_soft_delete
        try:
            shown(cls, columns)
            if soft_delete is not None:
                check_column(cls, soft_delete, columns, setting="broadcast_soft_delete")
        except ConfigurationError as error:
            found.append(Error(str(error), obj=cls, id="broadcaster.E003"))
        return found

    @classmethod
    def from_channel(cls, key: str) -> Any:
        """Return the model that a rule takes for its channel; None when there is none."""
        try:
            found = cls._default_manager.filter(pk=key).first()
        except (ValidationError, ValueError):
            return None
        # A database takes "007" for 7, which is the name of another channel.
        return found if found is not None and str(found.pk) == key else None

    @classmethod
    def from_db(cls, *row: Any, **options: Any) -> Any:
        """Remember whether the row was deleted softly."""
        loaded = super().from_db(*row, **options)
        _remember(loaded)
        return loaded

    def refresh_from_db(
        self, using: str | None = None, fields: Collection[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Remember whether the row was deleted softly."""
        super().refresh_from_db(using, fields, from_queryset)
        if fields is None or self.broadcast_soft_delete in fields:
            _remember(self)

    def broadcast_columns(self) -> dict[str, Any]:
        """Return the columns that are not hidden, by the names of their attributes: `author_id`."""
        held = {
            name: self.__dict__.get(name, _NOT_LOADED) for name in shown(type(self), _columns(type(self)))
        }
        if unknown := [name for name, value in held.items() if hasattr(value, "resolve_expression")]:
            # Beside the instance, which is the application's to load anew.
            held |= _row(self, self._state.db).values(*unknown).get()
        return {name: value.name if isinstance(value, FieldFile) else value for name, value in held.items()}


def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]  # noqa: SLF001 - Django's public API


def _row(model: Any, using: str | None) -> Any:
    return type(model)._base_manager.using(using).filter(pk=model.pk)  # noqa: SLF001 - Django's public API


def _remember(model: Any) -> None:
    """Take what *model* holds of its soft delete for what the database says."""
    held, column = model.__dict__, model.broadcast_soft_delete
    held.pop(_WAS_TRASHED, None)
    if column is not None and column in held:
        held[_WAS_TRASHED] = is_trashed(held[column])


def _before_save(instance: Any, *, raw: bool, using: str, **_signal: Any) -> None:
    held, column = instance.__dict__, instance.broadcast_soft_delete
    if not raw and column is not None and instance.pk is not None and _WAS_TRASHED not in held:
        held[_WAS_TRASHED] = is_trashed(_row(instance, using).values_list(column, flat=True).first())


def _after_save(
    instance: Any,
    *,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None,
    **_signal: Any,
) -> None:
    if raw:
        return
    was_trashed = trashed = instance.__dict__.get(_WAS_TRASHED, False)
    if update_fields is None or instance.broadcast_soft_delete in update_fields:
        _remember(instance)
        trashed = instance.__dict__.get(_WAS_TRASHED, False)
    changes: tuple[Change, ...] = ("created",)
    if not created:
        changes = update_of(was_trashed=was_trashed, trashed=trashed)
    _send(instance, using, *changes)


def _before_delete(instance: Any, *, using: str, **_signal: Any) -> None:
    # Before: afterwards nothing can be loaded any more. A delete is a transaction, so nothing leaves yet.
    _send(instance, using, "deleted")


def _send(instance: Any, using: str, *changes: Change) -> None:
    # The manager reads the settings when it is imported, and models are imported before.
    from broadcaster.contrib.django import broadcast

    events = [instance.broadcast_event(change) for change in changes]
    with transaction_of(using):
        broadcast.send_many(events, to_others=instance.broadcast_to_others)


def _listen(sender: type, **_signal: Any) -> None:
    # To each class by itself: with a listener for all models, Django would load whatever it deletes.
    if issubclass(sender, BroadcastsEvents):
        pre_save.connect(_before_save, sender=sender)
        post_save.connect(_after_save, sender=sender)
        pre_delete.connect(_before_delete, sender=sender)


class_prepared.connect(_listen)
