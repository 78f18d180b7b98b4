"""Models that announce their changes: what SQLAlchemy and Django have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from broadcaster.channels import Channel, PrivateChannel
from broadcaster.errors import ConfigurationError, InvalidChannelName, named, suggestion
from broadcaster.events import Channels, ShouldDispatchAfterCommit, Via

__all__ = [
    "AnnouncesChanges",
    "Change",
    "ModelEvent",
    "channel_by_key",
    "check_column",
    "is_trashed",
    "pattern_of",
    "shown",
    "update_of",
]

Change: TypeAlias = Literal["created", "updated", "trashed", "restored", "deleted"]
"""What happened to a model; one that is deleted softly is `trashed`, and `deleted` as well."""

# The value never changes in place, since tasks inherit it.
_silenced: ContextVar[tuple[type, ...]] = ContextVar("broadcaster_silenced", default=())

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class AnnouncesChanges:
    """What a model may say about the events that announce its changes; every hook gets the change."""

    broadcast_channel_name: ClassVar[str | None] = None
    """What its channels are called before the key; None is its module and its class."""
    broadcast_hidden: ClassVar[Collection[str]] = ()
    """Columns that no browser may see. What a base class hides stays hidden."""
    broadcast_soft_delete: ClassVar[str | None] = None
    """The column that is None, or False, as long as a row is not deleted; None without soft deletes."""
    broadcast_to_others: ClassVar[bool] = False
    """Whether the connection that the request in progress came from is left out."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("on", "as", "with", "when", "via", "event"):
            # A coroutine would count as true, or as one channel.
            if iscoroutinefunction(getattr(cls, f"broadcast_{name}")):
                raise TypeError(f"{cls.__name__}.broadcast_{name}() must be a plain method, not async")

    def broadcast_on(self, change: Change) -> Any:
        """Return where *change* is announced: channels, their names, models; None counts as none of them."""
        return self

    def broadcast_as(self, change: Change) -> str | Enum | None:
        """Return the event's name; None is the class's and the change's: `PostUpdated`."""
        return None

    def broadcast_with(self, change: Change) -> Mapping[str, Any] | None:
        """Return the data; None is `{"model": self.broadcast_columns()}`."""
        return None

    def broadcast_when(self, change: Change) -> bool:
        """Whether *change* is announced."""
        return True

    def broadcast_via(self, change: Change) -> Via:
        """Return the names of the drivers; None is the default one."""
        return None

    def broadcast_event(self, change: Change, *, on: Any = None) -> ModelEvent:
        """Return the event that announces *change*, *on* instead of where `broadcast_on()` says.

        Send it to announce by hand. Override it to return one of a class of your own.
        """
        return ModelEvent(self, change, on=on)

    if TYPE_CHECKING:
        # Each ORM brings its own.

        def broadcast_columns(self) -> dict[str, Any]:
            """Return the columns that are not hidden, by the names of their attributes."""
            ...

        @staticmethod
        def broadcast_channel_of(model: Any) -> PrivateChannel:
            """Return the channel of any model that this one may name in `broadcast_on()`."""
            ...

    @classmethod
    @contextmanager
    def without_broadcasting(cls) -> Iterator[None]:
        """Announce nothing of this class, nor of its subclasses, from the code inside."""
        token = _silenced.set((*_silenced.get(), cls))
        try:
            yield
        finally:
            _silenced.reset(token)


class ModelEvent(ShouldDispatchAfterCommit):
    """The event that announces one *change* of one *model*."""

    def __init__(self, model: AnnouncesChanges, change: Change, *, on: Any = None) -> None:
        self.model = model
        self.change: Change = change
        self._on = on

    def broadcast_on(self) -> Channels:
        """Return the channels, those of models among them."""
        given = self.model.broadcast_on(self.change) if self._on is None else self._on
        if isinstance(given, str | Mapping | AnnouncesChanges) or not isinstance(given, Iterable):
            given = [given]
        # An author that is not known is None, and takes away no more than a channel.
        return [self._channel(one) for one in given if one is not None]

    def broadcast_as(self) -> str | Enum:
        """Return the name that the model says, or `PostUpdated`."""
        return self.model.broadcast_as(self.change) or f"{type(self.model).__name__}{self.change.title()}"

    def broadcast_with(self) -> Mapping[str, Any]:
        """Return the data that the model says, or its columns."""
        data = self.model.broadcast_with(self.change)
        return {"model": self.model.broadcast_columns()} if data is None else data

    def broadcast_when(self) -> bool:
        """Whether the model says so, and nobody silenced it."""
        return not isinstance(self.model, _silenced.get()) and self.model.broadcast_when(self.change)

    def broadcast_via(self) -> Via:
        """Return the drivers that the model says."""
        return self.model.broadcast_via(self.change)

    def _channel(self, given: Any) -> Channel | str:
        return given if isinstance(given, Channel | str) else self.model.broadcast_channel_of(given)


def pattern_of(model: type) -> str:
    """Return the pattern of the channels of that class: `blog.models.BlogPost.{blog_post}`."""
    return f"{_name_of(model)}.{{{_HUMP.sub('_', model.__name__).lower()}}}"


def channel_by_key(model: type, key: Sequence[object]) -> PrivateChannel:
    """Return the channel of the *model* with that key, whose parts have commas between them.

    Raises `InvalidChannelName` for a key that is not there yet, or has characters that no channel may hold.
    """
    parts = [str(part.value if isinstance(part, Enum) else part) for part in key]
    name = f"{_name_of(model)}.{','.join(parts)}"
    if None in key:
        raise InvalidChannelName(name, "the model has no key before it is written")
    remedy = "return channels of your own from broadcast_on()"
    # A placeholder never crosses a dot, so no rule could tell that key from what comes after it.
    if not all(parts) or "." in "".join(parts):
        raise InvalidChannelName(name, f"a key that is empty or holds a dot cannot stand in a name; {remedy}")
    if len(parts) > 1 and "," in "".join(parts):
        raise InvalidChannelName(name, f"a key with a comma in one of its parts is ambiguous; {remedy}")
    return PrivateChannel(name)


def shown(model: type[AnnouncesChanges], columns: Iterable[str]) -> list[str]:
    """Return the *columns* that are not hidden, nor private by their names.

    Raises `ConfigurationError` when something is hidden that is not there: a slip would show it.
    """
    known = list(columns)
    hidden = {name for base in model.__mro__ for name in vars(base).get("broadcast_hidden", ())}
    for name in sorted(hidden):
        check_column(model, name, known, setting="broadcast_hidden")
    return [name for name in known if name not in hidden and not name.startswith("_")]


def check_column(model: type, name: str, columns: Collection[str], *, setting: str) -> None:
    """Raise `ConfigurationError` where a *setting* names what is none of the *columns*."""
    if name not in columns:
        raise ConfigurationError(
            f"{model.__name__}.{setting} names {name!r}, which is no column"
            f"{suggestion(name, columns)}; columns: {named(columns)}"
        )


def is_trashed(value: object) -> bool:
    """Whether a soft-delete column with that value says that the row is deleted."""
    return value is not None and value is not False


def update_of(*, was_trashed: bool, trashed: bool) -> tuple[Change, ...]:
    """Return what an update of a row comes to, in the order of Laravel's model events."""
    match was_trashed, trashed:
        case False, True:
            return "trashed", "deleted"
        case True, False:
            return "updated", "restored"
    return ("updated",)


def _name_of(model: type) -> str:
    given: str | None = getattr(model, "broadcast_channel_name", None)
    return given or f"{model.__module__}.{model.__qualname__}".replace(".<locals>", "")
