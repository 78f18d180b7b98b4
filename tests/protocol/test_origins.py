from __future__ import annotations

import pytest

from broadcaster.errors import ConfigurationError
from broadcaster.protocol.origins import Origins


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com", "https://EXAMPLE.com:443"),
        ("http://example.com", "http://example.com:80"),
        ("https://Example.com:8443", "https://example.com:8443"),
        ("example.com", "https://example.com"),
        ("example.com", "http://example.com:8080"),
        ("example.com:8443", "https://example.com:8443"),
        ("example.com:443", "https://example.com"),
        ("http://localhost:*", "http://localhost:5173"),
        ("*.example.com", "https://shop.example.com"),
        ("*.example.com", "https://a.b.example.com"),
        ("https://*.example.com", "https://shop.example.com"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("*", "https://anywhere.test"),
        ("*", "null"),
        ("null", "null"),
    ],
)
def test_a_page_of_an_origin_that_is_listed_may_connect(pattern: str, origin: str) -> None:
    assert Origins((pattern,)).allow(origin)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("https://example.com", "https://example.com.evil.test"),
        ("https://example.com", "https://evil-example.com"),
        ("https://example.com", "https://example.com/path"),
        ("example.com", "https://sub.example.com"),
        ("example.com", "example.com"),
        ("example.com:8443", "https://example.com"),
        ("*.example.com", "https://example.com"),
        ("*.example.com", "https://evilexample.com"),
        ("*.example.com", "https://*.example.com"),
        ("http://localhost:*", "http://localhost:*"),
        ("example.com", "null"),
        ("example.com", ""),
        ("example.com", "https://example.com\n"),
        ("example.com", "https://user@example.com"),
        ("example.com", "ü" * 10_000),
    ],
)
def test_a_page_of_another_origin_may_not(pattern: str, origin: str) -> None:
    assert not Origins((pattern,)).allow(origin)


def test_without_a_list_every_page_may_connect() -> None:
    assert Origins(()).allow("https://anywhere.test")


def test_a_client_that_is_no_page_tells_no_origin_and_may_connect() -> None:
    assert Origins(("https://example.com",)).allow(None)


def test_one_pattern_of_several_is_enough() -> None:
    origins = Origins(("https://a.test", "https://b.test"))

    assert [origins.allow(f"https://{name}.test") for name in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    "pattern", ["", "https://", "https://a.test/path", "a b", "*.*", "https://a*.test", "a:b"]
)
def test_what_is_no_pattern_is_told_with_examples(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write https://example\.com"):
        Origins((pattern,))
