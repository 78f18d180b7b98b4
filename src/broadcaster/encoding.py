"""Values of any common class down to JSON, and JSON text back to values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from broadcaster._classes import once_per_class
from broadcaster.errors import UnencodableData

__all__ = ["decode", "encode", "encode_decoded", "fields_of"]

_SURROGATE = "it holds a lone surrogate, which UTF-8 cannot express"


def encode(value: object, *, root: str = "data") -> str:
    """Return *value* as compact JSON text; UTF-8 characters stay as they are.

    Besides JSON's own types: datetimes, dates and times in ISO 8601, timedeltas as ISO 8601 durations,
    Decimals and UUIDs as strings, enums as their values, bytes as URL-safe Base64, sets and tuples as
    lists; pydantic models as their `model_config` says; dataclasses, attrs classes and msgspec Structs as
    objects of their public fields. Raises `UnencodableData` for anything else; *root* is the first word
    of the path it names.
    """
    try:
        text = _to_json(value)
        # Pydantic writes every field of a nested dataclass; a name that starts with "_" is rare.
        if '"_' in text and (private := _private_fields(value)):
            text = _to_json(value, exclude=private)
    except _ENCODING_ERRORS as error:
        raise _explained(value, root, str(error)) from error
    return text


def encode_decoded(value: Any) -> str:
    """Do for what `decode()` returned what `encode()` does, which looks for much that cannot be in there."""
    text = str(to_json(value, inf_nan_mode="constants"), "utf-8")
    return encode(value) if "Infinity" in text else text


def decode(text: str | bytes) -> Any:
    """Parse JSON text from outside; raise `ValueError` for anything that is not JSON.

    NaN, lone surrogates and nesting beyond 200 levels are refused.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except TypeError as error:
        # The parser's word for a str that it cannot take as UTF-8.
        raise ValueError(_SURROGATE) from error


def fields_of(value: object) -> object:
    """Return what stands for *value* when it is encoded: its public fields, where it is an object.

    A class that declares no fields has those that its instance holds: what belongs to the class stays there.
    """
    cls = type(value)
    if hasattr(cls, "__pydantic_serializer__"):
        return value
    names = _field_names(cls)
    if names is None:
        if isinstance(value, Mapping):
            return value
        held = [*_slots(cls), *getattr(value, "__dict__", {})]
        names = [name for name in held if not name.startswith("_") and hasattr(value, name)]
    return {name: getattr(value, name) for name in names}


_ENCODING_ERRORS = (PydanticSerializationError, ValueError, TypeError, RecursionError)


def _to_json(value: object, **only: Any) -> str:
    serializer = getattr(type(value), "__pydantic_serializer__", None)
    if serializer is not None:
        # Not `to_json`: a model's own serializer also knows the settings of its `model_config`.
        raw = serializer.to_json(value, fallback=_unfold, **only)
    else:
        raw = to_json(value, bytes_mode="base64", inf_nan_mode="constants", fallback=_unfold, **only)
    # A float that is no number is written as a bare word, which is not JSON; these words are rare.
    # Text is searched in half the time that bytes are.
    text = str(raw, "utf-8")
    if ("NaN" in text or "Infinity" in text) and not _is_json(text):
        raise ValueError("it holds a float that is not finite")
    return text


def _unfold(value: object) -> object:
    """Turn a nested mapping, attrs or msgspec object into a dict; pydantic's encoder knows none of them."""
    if isinstance(value, Mapping):
        return dict(value)
    names = _field_names(type(value))
    if names is None:
        raise TypeError(f"{type(value).__name__} has no JSON form; return one that has from broadcast_with()")
    return {name: getattr(value, name) for name in names}


@once_per_class
def _field_names(cls: type) -> list[str] | None:
    """List the public fields that *cls* declares; None for a class that declares none, and for a mapping."""
    if issubclass(cls, Mapping):
        return None
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
    elif (attributes := getattr(cls, "__attrs_attrs__", None)) is not None:
        names = [attribute.name for attribute in attributes]
    elif (struct_fields := getattr(cls, "__struct_fields__", None)) is not None:
        names = list(struct_fields)
    else:
        return None
    return [name for name in names if not name.startswith("_")]


@once_per_class
def _slots(cls: type) -> list[str]:
    slots = [base.__dict__.get("__slots__", ()) for base in reversed(cls.__mro__)]
    return [name for names in slots for name in ([names] if isinstance(names, str) else names)]


def _private_fields(value: object) -> dict[Any, Any]:
    """Return the private fields within *value*, as a tree that pydantic's encoder takes as `exclude`."""
    private: dict[Any, Any] = {}
    if dataclasses.is_dataclass(value):
        private = {f.name: True for f in dataclasses.fields(value) if f.name.startswith("_")}
    for key, item in _items(value):
        if within := _private_fields(item):
            private[key] = within
    return private


def _items(value: object) -> Iterator[tuple[Any, object]]:
    """Yield what *value* holds when it is encoded, each with its key, index or field name."""
    match value:
        case Mapping():
            yield from value.items()
        case list() | tuple() | AbstractSet():
            yield from enumerate(value)
        case BaseModel():
            fields = type(value).model_fields
            yield from ((name, getattr(value, name)) for name, info in fields.items() if not info.exclude)
        case _:
            yield from ((name, getattr(value, name)) for name in _field_names(type(value)) or ())


def _is_json(text: str) -> bool:
    try:
        decode(text)
    except ValueError:
        return False
    return True


def _explained(value: object, path: str, reason: str) -> UnencodableData:
    """Walk down to the innermost value that cannot be encoded, and name the way to it."""
    seen: set[int] = set()
    while True:
        seen.add(id(value))
        culprit = next(_culprits(value), None)
        if culprit is None:
            return UnencodableData(path, _reason(value, reason))
        step, value, reason = culprit
        path += step
        if id(value) in seen:
            return UnencodableData(path, "it refers back to itself")


def _culprits(value: object) -> Iterator[tuple[str, object, str]]:
    """Yield what *value* holds that cannot be encoded: the step to it, itself and why."""
    for key, item in _items(value):
        match value:
            case Mapping() if why := _failure({key: None}):
                yield f"[{key!r}]", key, why
            case BaseModel():
                # Within its model: a field may be left out there, or have a serializer of its own.
                why = _failure(value, include={key})
            case _:
                why = _failure(item)
        if why:
            yield _step(key), item, why


def _failure(value: object, **only: Any) -> str:
    """Return why *value* cannot be encoded, or nothing when it can."""
    try:
        _to_json(value, **only)
    except _ENCODING_ERRORS as error:
        return str(error) or type(error).__name__
    return ""


def _reason(value: object, reason: str) -> str:
    match value:
        case float() if not math.isfinite(value):
            return f"{value} is not a JSON number"
        case str():
            return _SURROGATE
    return reason.removeprefix("Error serializing to JSON: ").removeprefix("TypeError: ")


def _step(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
