"""Values of any common class down to JSON, and JSON text back to values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Set
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from broadcaster.errors import UnencodableData

__all__ = ["decode", "encode", "fields_of"]


def encode(value: object, *, root: str = "data") -> str:
    """Return *value* as compact JSON text; UTF-8 characters stay as they are.

    Besides JSON's own types: datetimes, dates and times in ISO 8601, timedeltas as ISO 8601 durations,
    Decimals and UUIDs as strings, enums as their values, bytes as URL-safe Base64, sets and tuples as
    lists; pydantic models, dataclasses, attrs classes and msgspec Structs as objects of their fields.
    Raises `UnencodableData` for anything else; *root* is the first word of the path it names.
    """
    try:
        raw = _to_json(value)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise _explained(value, root, str(error)) from error
    # A float that is no number is written as a bare word, which is not JSON; these words are rare.
    if (b"NaN" in raw or b"Infinity" in raw) and not _is_json(raw):
        raise _explained(value, root, "it holds a float that is not finite")
    return raw.decode()


def decode(text: str | bytes) -> Any:
    """Parse JSON text from outside; raise `ValueError` for anything that is not JSON.

    NaN, lone surrogates and nesting beyond 200 levels are refused.
    """
    return from_json(text, allow_inf_nan=False)


def fields_of(value: object) -> object:
    """Return what stands for *value* when it is encoded: its public fields, where it is an object."""
    if isinstance(value, BaseModel | Mapping):
        return value
    names = _field_names(type(value))
    if names is None:
        names = [name for name in getattr(value, "__dict__", {}) if not name.startswith("_")]
    return {name: getattr(value, name) for name in names}


def _to_json(value: object) -> bytes:
    serializer = getattr(type(value), "__pydantic_serializer__", None)
    if serializer is not None:
        # Not `to_json`: a model's own serializer also knows the settings of its `model_config`.
        return bytes(serializer.to_json(value, fallback=_unfold))
    return to_json(value, bytes_mode="base64", inf_nan_mode="constants", fallback=_unfold)


def _unfold(value: object) -> object:
    """Turn a nested attrs or msgspec object into its fields; pydantic's encoder knows neither."""
    names = _field_names(type(value))
    if names is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return {name: getattr(value, name) for name in names}


_known_fields: WeakKeyDictionary[type, list[str] | None] = WeakKeyDictionary()


def _field_names(cls: type) -> list[str] | None:
    """List the public fields that *cls* declares, or None for a class that declares none."""
    try:
        return _known_fields[cls]
    except KeyError:
        names = _declared(cls)
        _known_fields[cls] = names = None if names is None else [n for n in names if not n.startswith("_")]
        return names


def _declared(cls: type) -> list[str] | None:
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    if attributes := getattr(cls, "__attrs_attrs__", None):
        return [attribute.name for attribute in attributes]
    if struct_fields := getattr(cls, "__struct_fields__", None):
        return list(struct_fields)
    return None


def _is_json(raw: bytes) -> bool:
    try:
        decode(raw)
    except ValueError:
        return False
    return True


def _explained(value: object, path: str, reason: str) -> UnencodableData:
    """Walk down to the innermost value that cannot be encoded, and name the way to it."""
    seen: set[int] = set()
    while True:
        seen.add(id(value))
        culprit = next((item for item in _children(value) if not _encodable(item[1])), None)
        if culprit is None:
            return UnencodableData(path, _reason(value, reason))
        step, value = culprit
        path += step
        if id(value) in seen:
            return UnencodableData(path, "it refers back to itself")


def _encodable(value: object) -> bool:
    try:
        return _is_json(_to_json(value))
    except (PydanticSerializationError, ValueError, TypeError, RecursionError):
        return False


def _reason(value: object, reason: str) -> str:
    match value:
        case float() if not math.isfinite(value):
            return f"{value} is not a JSON number"
        case str():
            return "it holds a lone surrogate, which UTF-8 cannot express"
        case None | bool() | int() | float() | bytes():
            return reason
        case _ if reason.startswith("Unable to serialize") or "no JSON form" in reason:
            return f"{type(value).__name__} has no JSON form; return one that has from broadcast_with()"
        case _:
            return reason


def _children(value: object) -> Iterator[tuple[str, object]]:
    match value:
        case Mapping():
            yield from ((_step(key), item) for key, item in value.items())
        case list() | tuple() | Set():
            yield from ((f"[{index}]", item) for index, item in enumerate(value))
        case BaseModel():
            yield from ((f".{name}", item) for name, item in vars(value).items())
        case _:
            names = _field_names(type(value)) or []
            yield from ((f".{name}", getattr(value, name)) for name in names)


def _step(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
