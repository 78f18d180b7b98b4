from urllib.parse import parse_qsl

import pytest

from broadcaster._forms import read_form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "&",
        "a",
        "a=",
        "=a",
        "a=1&&b=2&",
        "a=1=2",
        "a=1;b=2",
        "a=b+c",
        "a+b=c",
        "a=%41",
        "%61=b",
        "a=\xe9",
        "a=%",
    ],
)
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert read_form(text, most=8) == parse_qsl(text, keep_blank_values=True)


@pytest.mark.parametrize("text", ["a=1&b=2&c=3", "a=1&b=%32&c=3"])
def test_more_fields_than_are_allowed_are_refused(text: str) -> None:
    assert len(read_form(text, most=3)) == 3
    with pytest.raises(ValueError, match="fields"):
        read_form(text, most=2)


def test_what_is_not_utf_8_is_replaced_or_refused() -> None:
    assert read_form("a=%ff", most=1) == [("a", "\N{REPLACEMENT CHARACTER}")]
    with pytest.raises(UnicodeDecodeError):
        read_form("a=%ff", most=1, errors="strict")
