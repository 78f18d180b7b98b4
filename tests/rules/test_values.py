"""From what stands in a name to what a rule takes."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NewType, Self
from uuid import UUID

import pytest
from pydantic import Field

from broadcaster import ConfigurationError
from broadcaster.rules.calls import run
from broadcaster.rules.values import NotFound, hints_of, reader_of

ID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
OrderId = NewType("OrderId", int)


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 2


class Slug(str):
    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not text.islower():
            raise ValueError("a slug is in lower case")
        return super().__new__(cls, text)


class Order:
    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def from_channel(cls, number: int) -> Order | None:
        return cls(number) if number < 100 else None


class RushOrder(Order):
    pass


def read(annotation: Any, text: str, resolvers: Any = None) -> Any:
    return run(reader_of(annotation, resolvers or {})(text))


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "7", "7"),
        (Any, "7", "7"),
        (int, "7", 7),
        (int, "0", 0),
        (int, "-7", -7),
        (OrderId, "7", 7),
        (UUID, ID, UUID(ID)),
        (UUID, ID.upper(), UUID(ID)),
        (date, "2026-11-24", date(2026, 11, 24)),
        (Color, "red", Color.RED),
        (Size, "2", Size.BIG),
        (Slug, "news", "news"),
        (Literal["a", 7], "7", 7),
        (int | None, "7", 7),
        (int | Color, "red", Color.RED),
        (Annotated[int, Field(gt=5)], "7", 7),
    ],
)
def test_a_value_converts_to_what_the_annotation_says(annotation: Any, text: str, value: object) -> None:
    found = read(annotation, text)

    assert (found, type(found)) == (value, type(value) if annotation is not Slug else Slug)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        *((int, text) for text in ("07", "+7", "-0", "1_000", "7a", "", "x", "9" * 200, "\u0667")),
        *((UUID, text) for text in ("7", ID.replace("-", ""), ID + "0", f"{{{ID}}}")),
        *((date, text) for text in ("20261124", "2026-W48-2", "2026-13-01", "1764000000")),
        (Color, "RED"),
        (Color, "blue"),
        (Slug, "News"),
        (Literal["a", 7], "b"),
        (int | Color, "blue"),
        (Annotated[int, Field(gt=5)], "5"),
    ],
)
def test_a_value_that_does_not_convert_is_nothing(annotation: Any, text: str) -> None:
    with pytest.raises(NotFound):
        read(annotation, text)


def test_a_class_finds_its_own_by_from_channel() -> None:
    assert read(Order, "7").number == 7
    with pytest.raises(NotFound):
        read(Order, "100")
    with pytest.raises(NotFound):
        read(Order, "seven")


def test_a_registered_resolver_goes_before_the_hook_and_serves_subclasses() -> None:
    def find(reference: str) -> Order | None:
        return Order(len(reference)) if reference != "none" else None

    assert read(RushOrder, "abcd", {Order: find}).number == 4
    with pytest.raises(NotFound):
        read(Order, "none", {Order: find})


@pytest.mark.parametrize("annotation", [Decimal, float, bool, datetime, object(), dict[str, int], bytes])
def test_a_class_that_nothing_finds_is_told(annotation: Any) -> None:
    with pytest.raises(
        ConfigurationError, match="register a resolver for the class, or give it a from_channel"
    ):
        reader_of(annotation, {})


def test_a_resolver_that_takes_more_than_one_value_is_told() -> None:
    def find(number: int, shop: str) -> Order:
        return Order(number + len(shop))

    with pytest.raises(ConfigurationError, match="must take one value"):
        reader_of(Order, {Order: find})


def test_annotations_of_other_parameters_need_not_be_known() -> None:
    def rule(user: KnownToTypeCheckersOnly, order: int) -> bool:  # type: ignore[name-defined]  # noqa: F821
        return bool(user and order)

    assert hints_of(rule, ["order"]) == {"order": int}
    with pytest.raises(ConfigurationError, match="'user: KnownToTypeCheckersOnly'"):
        hints_of(rule, ["user"])
