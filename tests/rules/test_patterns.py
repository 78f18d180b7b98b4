"""Patterns: what they match, and which of them get in each other's way."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import ConfigurationError
from broadcaster.rules.patterns import Pattern


@pytest.mark.parametrize(
    ("name", "pattern", "found"),
    [
        ("something", "something", {}),
        ("something.23", "something.{id}", {"id": "23"}),
        ("something.23.test", "something.{id}.test", {"id": "23"}),
        ("something.23.test.42", "something.{id}.test.{id2}", {"id": "23", "id2": "42"}),
        # Laravel's own rows have a colon here, which no channel's name may hold.
        ("something-23;test-42", "something-{id};test-{id2}", {"id": "23", "id2": "42"}),
        ("something..test.42", "something.{id}.test.{id2}", None),
        ("23;string;test", "{id};string;{text}", {"id": "23", "text": "test"}),
        ("something.23", "something", None),
        ("something.23.test.42", "something.test.{id}", None),
        ("something-23-test-42", "something-{id}-test", None),
        ("23;test", "{id};test;abcd", None),
        ("customer.order.1", "order.{id}", None),
        ("customerorder.1", "order.{id}", None),
        ("TestChannel", "Test.{id}", None),
    ],
)
def test_the_rows_of_laravels_broadcaster_test(name: str, pattern: str, found: dict[str, str] | None) -> None:
    assert Pattern.parse(pattern).match(name) == found


@pytest.mark.parametrize(
    ("name", "pattern", "found"),
    [
        ("x-y-z", "{a}-{b}", {"a": "x-y", "b": "z"}),
        ("--", "{a}-{b}", None),
        ("---", "{a}-{b}", {"a": "-", "b": "-"}),
        ("order", "order{id}", None),
        ("orders", "order{id}", {"id": "s"}),
        ("ORDERS.7", "orders.{id}", None),
        ("orders.7\n", "orders.7", None),
        ("orders.", "orders.{id}", None),
        ("a+b", "a@b", None),
    ],
)
def test_corners_of_matching(name: str, pattern: str, found: dict[str, str] | None) -> None:
    assert Pattern.parse(pattern).match(name) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing stands before, between or after a dot"),
        ("a..b", "nothing stands before, between or after a dot"),
        (".{a}", "nothing stands before, between or after a dot"),
        ("a:b", "no channel's name holds ':'"),
        ("a.*", "no channel's name holds '*'"),
        ("a{", "no channel's name holds '{'; a placeholder looks like {id}"),
        ("{a}{b}", "two placeholders need something between them"),
        ("{a}.{a}", "the placeholder 'a' is there twice"),
        ("{1}", "'1' is no name for a placeholder"),
        ("{}", "'' is no name for a placeholder"),
        ("private-orders.{id}", "leave 'private-' out: 'orders.{id}'"),
        ("presence-rooms.{id}", "leave 'presence-' out: 'rooms.{id}'"),
        ("private-encrypted-x", "leave 'private-encrypted-' out: 'x'"),
        ("#server-to-user-7", "leave '#server-to-user-' out: '7'"),
    ],
)
def test_what_is_no_pattern_is_told(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(why)):
        Pattern.parse(text)


PATTERNS = [
    *("ab", "-", "{a}", "a{b}", "{a}b", "{a}-{b}", "a-{b}", "{a}-b", "a{x}b{y}", "{x}a{y}"),
    *("{x}.a", "a.{x}", "{p}.{q}", "b{x}a", "{x}ab"),
]
NAMES = ["".join(letters) for n in range(1, 6) for letters in product("ab-.", repeat=n)]


def as_expression(pattern: str) -> re.Pattern[str]:
    """Say a pattern as Laravel does, literals escaped."""
    parts = re.split(r"(\{.\})", pattern)
    return re.compile("".join(f"(?P<{p[1]}>[^.]+)" if p.startswith("{") else re.escape(p) for p in parts))


@pytest.mark.parametrize("pattern", [*PATTERNS, "{a}-{b}-{c}", "a{a}-{b}.{c}"])
def test_a_pattern_finds_what_the_regular_expression_finds(pattern: str) -> None:
    expression, parsed = as_expression(pattern), Pattern.parse(pattern)

    for name in NAMES:
        match = expression.fullmatch(name)
        assert parsed.match(name) == (match.groupdict() if match else None)


@pytest.mark.parametrize("first", PATTERNS)
@pytest.mark.parametrize("second", PATTERNS)
def test_patterns_cover_and_meet_each_other_as_the_names_they_match_do(first: str, second: str) -> None:
    one, other = Pattern.parse(first), Pattern.parse(second)
    ones = {name for name in NAMES if one.match(name) is not None}
    others = {name for name in NAMES if other.match(name) is not None}

    assert one.covers(other) == (others <= ones)
    assert one.meets(other) == bool(ones & others)


def test_many_placeholders_in_one_segment_take_no_more_time_than_one() -> None:
    pattern = Pattern.parse("-".join(f"{{p{n}}}" for n in range(30)) + "x")

    assert pattern.match("-" * 10_000) is None
    assert pattern.match("-" * 10_000 + "x") is not None


@settings(max_examples=300)
@given(st.text(max_size=300))
def test_no_text_is_matched_by_accident(name: str) -> None:
    pattern = Pattern.parse("orders.{id}")

    assert (pattern.match(name) is not None) == bool(re.fullmatch(r"orders\.[^.]+", name, re.DOTALL))
