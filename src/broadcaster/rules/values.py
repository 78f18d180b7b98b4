"""From what stands in a channel's name to what a rule takes: numbers, ids, dates, models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from functools import partial
from inspect import Parameter, signature
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from broadcaster.errors import ConfigurationError
from broadcaster.rules.calls import Call, Steps

__all__ = ["NotFound", "Reader", "Resolvers", "hints_of", "reader_of", "taken_by"]

V = TypeVar("V")

Reader: TypeAlias = Callable[[str], Steps[object]]
"""Turns a text into a value; raises `NotFound` where there is none."""

Resolvers: TypeAlias = Mapping[type, Callable[..., Any]]
"""The functions that find the things of a class."""

_INT = re.compile(r"0|-?[1-9][0-9]{0,99}")


class NotFound(Exception):
    """A text stands for nothing: it does not convert, or nothing is found by it."""


def reader_of(annotation: Any, resolvers: Resolvers) -> Reader:
    """Return what reads a parameter with that *annotation*.

    A class has the resolver that was registered for it or for one of its bases, or a `from_channel` hook.
    Raises `ConfigurationError` for one that has neither.
    """
    if isinstance(annotation, type):
        find = next((resolvers[cls] for cls in annotation.__mro__ if cls in resolvers), None)
        if find is not None:
            return partial(_found, find, _argument(find), f"the resolver of {annotation.__name__}")
        if (hook := getattr(annotation, "from_channel", None)) is not None:
            return partial(_found, hook, _argument(hook), f"{annotation.__name__}.from_channel()")
    return partial(_plain, _converter(annotation))


def taken_by(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of *function*; raise `ConfigurationError` where they cannot be told."""
    try:
        return list(signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{function!r} has no signature to be called by: {error}") from error


def hints_of(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """Return the annotations of the parameters called *names*, those in quotation marks evaluated.

    Only theirs: what a user is may be known to type checkers alone.
    """
    raw = {
        p.name: p.annotation for p in taken_by(function) if p.name in names and p.annotation is not p.empty
    }
    inner = getattr(function, "__func__", function)
    scope = getattr(inner, "__globals__", None) or getattr(type(function).__call__, "__globals__", {})
    try:
        return get_type_hints(SimpleNamespace(__annotations__=raw), scope, include_extras=True)
    except (NameError, SyntaxError) as error:
        known = ", ".join(f"{name}: {hint}" for name, hint in raw.items())
        raise ConfigurationError(f"cannot read the annotations {known!r}: {error}") from error


def _found(find: Callable[..., Any], convert: Callable[[str], object], what: str, text: str) -> Steps[object]:
    value = yield Call(what, find, (convert(text),), {})
    if value is None:
        raise NotFound
    return value


def _plain(convert: Callable[[str], object], text: str) -> Steps[object]:
    yield from ()
    return convert(text)


def _argument(find: Callable[..., Any]) -> Callable[[str], object]:
    """Return what converts the text that *find* takes."""
    taken = [p for p in taken_by(find) if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    if not taken or any(p.default is p.empty for p in taken[1:]):
        raise ConfigurationError(f"{find!r} must take one value: what stands in the channel's name")
    name = taken[0].name
    return _converter(hints_of(find, [name]).get(name, str))


def _converter(annotation: Any) -> Callable[[str], object]:
    if annotation in {str, Any, object, Parameter.empty}:
        return str
    origin = get_origin(annotation)
    if origin is Annotated:
        return partial(_constrained, _converter(get_args(annotation)[0]), TypeAdapter(annotation))
    if origin is Literal:
        return partial(_one_of, {str(value): value for value in get_args(annotation)})
    if origin in {Union, UnionType}:
        return partial(_first, [_converter(part) for part in get_args(annotation) if part is not NoneType])
    if supertype := getattr(annotation, "__supertype__", None):
        return _converter(supertype)
    if isinstance(annotation, type):
        if issubclass(annotation, Enum):
            return partial(_one_of, {str(member.value): member for member in annotation})
        for cls, convert in _CONVERTERS.items():
            if issubclass(annotation, cls) and not issubclass(annotation, bool | datetime):
                return partial(convert, annotation)
    raise ConfigurationError(
        f"nothing turns a part of a channel's name into {annotation!r}: "
        "register a resolver for the class, or give it a from_channel() class method"
    )


def _to_int(cls: type[int], text: str) -> int:
    # Python's int() also takes "007" and "1_000", which are the names of other channels.
    if not _INT.fullmatch(text):
        raise NotFound
    return cls(text)


def _to_uuid(cls: type[UUID], text: str) -> UUID:
    try:
        value = cls(text)
    except ValueError:
        raise NotFound from None
    return _same(value, str(value), text.lower())


def _to_date(cls: type[date], text: str) -> date:
    try:
        value = cls.fromisoformat(text)
    except ValueError:
        raise NotFound from None
    return _same(value, value.isoformat(), text)


def _to_text(cls: type[str], text: str) -> str:
    try:
        return cls(text)
    except ValueError:
        raise NotFound from None


_CONVERTERS: dict[type, Callable[[Any, str], object]] = {
    int: _to_int,
    UUID: _to_uuid,
    date: _to_date,
    str: _to_text,
}


def _same(value: V, written: str, text: str) -> V:
    if written != text:
        raise NotFound
    return value


def _one_of(values: Mapping[str, object], text: str) -> object:
    if text not in values:
        raise NotFound
    return values[text]


def _first(converters: list[Callable[[str], object]], text: str) -> object:
    for convert in converters:
        try:
            return convert(text)
        except NotFound:
            continue
    raise NotFound


def _constrained(convert: Callable[[str], object], adapter: TypeAdapter[object], text: str) -> object:
    try:
        return adapter.validate_python(convert(text))
    except ValidationError:
        raise NotFound from None
