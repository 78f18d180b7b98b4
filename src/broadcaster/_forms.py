"""Forms and query strings, decoded within bounds."""

from __future__ import annotations

from urllib.parse import parse_qsl

__all__ = ["read_form"]


def read_form(text: str, *, most: int, errors: str = "replace") -> list[tuple[str, str]]:
    """Return the fields of *text*, empty ones too; raise ValueError where there are more than *most*.

    *errors* says what becomes of what is not UTF-8, as in `bytes.decode()`.
    """
    if "%" in text or "+" in text or text.count("&") >= most:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=most, errors=errors)
    # Nothing in it is encoded: so it is with what is signed, and with most names of channels.
    return [(name, value) for name, _, value in [field.partition("=") for field in text.split("&") if field]]
