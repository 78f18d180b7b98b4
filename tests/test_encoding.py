from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections import ChainMap, OrderedDict, UserDict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import Event, UnencodableData
from broadcaster.encoding import decode, encode, encode_decoded, fields_of


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Unit(enum.StrEnum):
    METRE = "m"


class Point(NamedTuple):
    x: int
    y: int


class Order(TypedDict):
    order_id: int
    carrier: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (10**30, "1000000000000000000000000000000"),
        (1.5, "1.5"),
        ("Zoë ☃ 𝄞", '"Zoë ☃ 𝄞"'),
        ('"\\\n\x00', r'"\"\\\n\u0000"'),
        ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        ({}, "{}"),
        ([], "[]"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None), '"2026-01-02T03:04:05"'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), '"2026-01-02T03:04:05.000006Z"'),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            '"2026-01-02T03:04:05+05:30"',
        ),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(hours=1, seconds=3), '"PT1H3S"'),
        (timedelta(days=-1), '"-P1D"'),
        (Decimal("1.10"), '"1.10"'),
        (UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
        (Colour.RED, '"red"'),
        (Size.LARGE, "3"),
        (Unit.METRE, '"m"'),
        (b"\xff\xfe", '"__4="'),
        ((1, 2), "[1,2]"),
        ({7}, "[7]"),
        (frozenset({"a"}), '["a"]'),
        (deque([1, 2]), "[1,2]"),
        (Point(1, 2), "[1,2]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (ChainMap({"a": 1}), '{"a":1}'),
        (UserDict(a=1), '{"a":1}'),
        ({7: 1, None: 2, Colour.RED: 3}, '{"7":1,"None":2,"red":3}'),
        ({UUID(int=7): 1}, '{"00000000-0000-0000-0000-000000000007":1}'),
        (Order(order_id=7, carrier="post"), '{"order_id":7,"carrier":"post"}'),
    ],
)
def test_a_value_has_its_documented_form(value: object, text: str) -> None:
    assert encode(value) == text
    assert encode({"in": [value]}) == f'{{"in":[{text}]}}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=25,
)


@given(json_values)
def test_any_json_value_survives_the_round_trip(value: Any) -> None:
    text = encode(value)

    assert decode(text) == value
    assert json.loads(text) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_words_that_are_no_json_numbers_pass_inside_of_strings(text: str) -> None:
    value = {"NaN": ["Infinity", "-Infinity", f"NaN{text}Infinity"], f"_{text}": "_"}

    assert decode(encode(value)) == value


@dataclasses.dataclass
class Line:
    price: Any
    _cost: object = "private"


@dataclasses.dataclass(frozen=True, slots=True)
class SlottedLine:
    price: Any
    _cost: object = "private"
    currency: ClassVar[str] = "EUR"
    discount: dataclasses.InitVar[int] = 0


@attrs.define
class AttrsLine:
    price: Any
    _cost: object = "private"


class StructLine(msgspec.Struct):
    price: Any
    _cost: object = "private"


class ModelLine(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")

    price: Any
    _cost: object = "private"


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(ser_json_inf_nan="constants"))
class PydanticLine:
    price: Any
    _cost: object = "private"


LINES = [Line, SlottedLine, AttrsLine, StructLine, ModelLine, PydanticLine]


@pytest.mark.parametrize("line", LINES)
def test_an_object_becomes_its_public_fields(line: Any) -> None:
    assert encode(line(price=7)) == '{"price":7}'
    assert encode(fields_of(line(price=7))) == '{"price":7}'


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("outer", LINES)
def test_private_fields_stay_out_however_deep_they_are(outer: Any, line: Any) -> None:
    value = {"lines": [line(price={"_id": 1}), (outer(price=[line(price="_")]),)]}

    assert encode(value) == '{"lines":[{"price":{"_id":1}},[{"price":[{"price":"_"}]}]]}'


class Typed(Event):
    line: Line
    lines: list[SlottedLine]
    by_name: dict[str, Line]


def test_private_fields_stay_out_of_the_typed_fields_of_an_event() -> None:
    event = Typed(line=Line(1), lines=[SlottedLine(2)], by_name={"_a": Line(3)})

    assert encode(event) == '{"line":{"price":1},"lines":[{"price":2}],"by_name":{"_a":{"price":3}}}'


@pytest.mark.parametrize(
    "empty", [attrs.make_class("A", {}), msgspec.defstruct("S", []), dataclasses.make_dataclass("D", [])]
)
def test_an_object_without_fields_is_an_empty_object(empty: Any) -> None:
    assert encode([empty()]) == "[{}]"


class Plain:
    of_the_class = "left out"

    def __init__(self) -> None:
        self.order_id = 7
        self._cache = "private"
        self.__mangled = "private"

    @property
    def computed(self) -> str:
        return "left out"


class Slotted:
    __slots__ = ("_cache", "carrier", "never_set", "order_id")

    def __init__(self) -> None:
        self.order_id, self.carrier, self._cache = 7, "post", "private"


class SlottedMore(Slotted):
    __slots__ = "weight"  # noqa: PLC0205 - Python allows it

    def __init__(self) -> None:
        super().__init__()
        self.weight = 2


class SlottedAndOpen(Slotted):
    def __init__(self) -> None:
        super().__init__()
        self.note = "fragile"


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (Plain(), {"order_id": 7}),
        (Slotted(), {"order_id": 7, "carrier": "post"}),
        (SlottedMore(), {"order_id": 7, "carrier": "post", "weight": 2}),
        (SlottedAndOpen(), {"order_id": 7, "carrier": "post", "note": "fragile"}),
    ],
)
def test_a_plain_object_has_the_public_fields_that_the_instance_holds(
    value: object, fields: dict[str, object]
) -> None:
    assert fields_of(value) == fields


def test_a_mapping_stands_for_itself() -> None:
    data = {"_id": 7}

    assert fields_of(data) is data


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)

    order_id: int = pydantic.Field(serialization_alias="orderId")
    secret: object = pydantic.Field("left out", exclude=True)
    price: Decimal = Decimal("1.50")

    @pydantic.field_serializer("price")
    def in_cents(self, price: Decimal) -> int:
        return int(price * 100)

    @pydantic.computed_field
    def double(self) -> int:
        return self.order_id * 2


def test_a_model_says_itself_how_it_is_encoded() -> None:
    model = Aliased(order_id=7)

    assert encode(fields_of(model)) == '{"orderId":7,"price":150,"double":14}'
    assert encode({"order": model}) == '{"order":{"orderId":7,"price":150,"double":14}}'


def test_a_field_that_the_model_leaves_out_may_be_anything() -> None:
    model = Aliased(order_id=7, secret=object())

    assert encode({"order": model}) == '{"order":{"orderId":7,"price":150,"double":14}}'


def cycle() -> list[object]:
    inner: list[object] = []
    inner.append(inner)
    return inner


BAD = {
    "nan": (math.nan, "nan is not a JSON number"),
    "inf": (math.inf, "inf is not a JSON number"),
    "-inf": (-math.inf, "-inf is not a JSON number"),
    "surrogate": ("a\ud800b", "it holds a lone surrogate"),
    "object": (object(), "object has no JSON form"),
    "class": (Line, "type has no JSON form"),
    "function": (len, "builtin_function_or_method has no JSON form"),
    "exception": (ValueError("x"), "ValueError has no JSON form"),
}


class Bag(Event):
    content: Any


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda bad: bad, "data"),
        (lambda bad: [1, bad], "data[1]"),
        (lambda bad: {"ok": 1, "order": {"lines": [0, 0, {"price": bad}]}}, "data.order.lines[2].price"),
        (lambda bad: {"a b": bad}, "data['a b']"),
        (lambda bad: {7: bad}, "data[7]"),
        (lambda bad: {"t": (1, (bad,))}, "data.t[1][0]"),
        (lambda bad: {"s": frozenset([bad])}, "data.s[0]"),
        (lambda bad: {"m": MappingProxyType({"x": bad})}, "data.m.x"),
        (Line, "data.price"),
        (lambda bad: {"line": SlottedLine(bad)}, "data.line.price"),
        (lambda bad: [AttrsLine({"x": bad})], "data[0].price.x"),
        (lambda bad: StructLine([bad]), "data.price[0]"),
        (lambda bad: [PydanticLine([bad])], "data[0].price[0]"),
        (lambda bad: {"model": ModelLine(price={"x": [bad]})}, "data.model.price.x[0]"),
        (lambda bad: Bag(content=[ModelLine(price=bad)]), "data.content[0].price"),
        (lambda bad: Bag(content=AttrsLine(Line(StructLine(bad)))), "data.content.price.price.price"),
    ],
)
def test_what_json_cannot_express_is_refused_with_the_way_to_it(
    wrap: Any, path: str, bad: object, reason: str
) -> None:
    value = wrap(bad)

    with pytest.raises(UnencodableData) as caught:
        encode(value)

    assert caught.value.path == path
    assert str(caught.value).startswith(f"cannot encode {path} as JSON: {reason}")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_typed_float_of_an_event_has_to_be_finite(bad: float) -> None:
    class Measured(Event):
        celsius: float

    with pytest.raises(UnencodableData, match=r"cannot encode data\.celsius as JSON: .*inf|nan"):
        encode(Measured(celsius=bad))


def test_a_model_that_is_no_event_keeps_pydantics_own_rule_for_its_floats() -> None:
    class Lenient(pydantic.BaseModel):
        celsius: float

    class Strict(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")

        celsius: float

    assert encode(Bag(content=Lenient(celsius=math.nan))) == '{"content":{"celsius":null}}'
    with pytest.raises(UnencodableData, match=r"data\.content\.celsius"):
        encode(Bag(content=Strict(celsius=math.nan)))


def test_bytes_that_a_model_takes_for_text_are_refused_by_their_field() -> None:
    class Textual(pydantic.BaseModel):
        raw: bytes

    with pytest.raises(UnencodableData) as caught:
        encode(Bag(content=[Textual(raw=b"\xff")]))

    assert caught.value.path == "data.content[0].raw"
    assert encode(Bag(content=b"\xff")) == '{"content":"_w=="}'


def test_a_serializer_that_fails_is_told_by_its_field() -> None:
    class Sour(pydantic.BaseModel):
        price: int

        @pydantic.field_serializer("price")
        def refuse(self, price: int) -> int:
            raise ValueError("sold out")

    with pytest.raises(UnencodableData, match="sold out") as caught:
        encode({"lines": [Sour(price=1)]})

    assert caught.value.path == "data.lines[0].price"


@pytest.mark.parametrize(
    ("key", "reason"), [("\ud800", "it holds a lone surrogate"), (object(), "object has no JSON form")]
)
def test_a_key_that_json_cannot_express_is_refused_and_shown(key: object, reason: str) -> None:
    with pytest.raises(UnencodableData, match=reason) as caught:
        encode({"a": {key: 1}})

    assert caught.value.path == f"data.a[{key!r}]"


def test_what_holds_itself_is_refused_where_the_circle_closes() -> None:
    order: dict[str, object] = {"id": 7}
    order["lines"] = [{"order": order}]

    with pytest.raises(UnencodableData, match="it refers back to itself") as caught:
        encode(order)

    assert caught.value.path == "data.lines[0].order"


@pytest.mark.parametrize("line", LINES[:1] + LINES[2:4])
def test_an_object_that_holds_itself_is_refused(line: Any) -> None:
    value = line(price=None)
    value.price = [value]

    with pytest.raises(UnencodableData, match="it refers back to itself") as caught:
        encode({"line": value})

    assert caught.value.path == "data.line.price[0]"


def test_what_is_shared_but_no_circle_is_encoded_twice() -> None:
    shared = [1]

    assert encode({"a": shared, "b": [shared, shared]}) == '{"a":[1],"b":[[1],[1]]}'


def test_nesting_without_end_is_refused() -> None:
    value: object = 1
    for _ in range(5000):
        value = [value]

    with pytest.raises(UnencodableData, match="depth"):
        encode(value)


def test_the_path_begins_with_the_name_of_the_event() -> None:
    with pytest.raises(UnencodableData) as caught:
        encode({"price": math.nan}, root="OrderShipped")

    assert caught.value.path == "OrderShipped.price"


def test_the_cause_is_kept() -> None:
    with pytest.raises(UnencodableData) as caught:
        encode(object())

    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "text",
    ["", "{", "nan", "NaN", "[Infinity]", "{'a':1}", r'"\ud800"', "1 2", "[1,]", b"\xff", b'"\xff"'],
)
def test_what_is_not_json_is_refused_as_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="line 1 column"):
        decode(text)


def test_json_nested_beyond_two_hundred_levels_is_refused() -> None:
    assert decode("[" * 200 + "7" + "]" * 200) != []
    with pytest.raises(ValueError, match="recursion limit"):
        decode("[" * 201 + "7" + "]" * 201)


@given(st.binary() | st.text())
def test_text_from_outside_raises_nothing_but_a_value_error(text: str | bytes) -> None:
    try:
        value = decode(text)
    except ValueError:
        return
    assert json.loads(encode(value)) == value


def test_a_lone_surrogate_in_the_text_itself_is_no_json() -> None:
    with pytest.raises(ValueError, match="lone surrogate"):
        decode('"\ud800"')


@given(json_values)
def test_what_was_decoded_is_encoded_as_anything_else_is(value: Any) -> None:
    decoded = decode(json.dumps(value))

    assert encode_decoded(decoded) == encode(decoded)


def test_what_was_decoded_may_hold_no_number_out_of_range_but_a_word() -> None:
    assert encode_decoded(decode('["Infinity"]')) == '["Infinity"]'
    with pytest.raises(UnencodableData, match="inf is not a JSON number"):
        encode_decoded(decode("[1e999]"))
