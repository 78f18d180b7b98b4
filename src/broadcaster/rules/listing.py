"""The rules of an application, to be read by a person."""

from __future__ import annotations

from functools import partial

from broadcaster.rules.registry import ChannelRules
from broadcaster.rules.rule import Rule

__all__ = ["NO_RULES", "listing"]

NO_RULES = "there are no rules: nobody may join a private or a presence channel"
"""What to say where the listing is empty."""


def listing(rules: ChannelRules, *, width: int = 80) -> list[str]:
    """Return a line for each rule, sorted by pattern, and how many there are; nothing for none.

    A line says which function or class decides, at the right of *width* columns where it fits.
    """
    rows = sorted((rule.pattern.text, _decider(rule)) for rule in rules)
    if not rows:
        return []
    width = min(width, max(len(pattern) + len(decider) for pattern, decider in rows) + 12)
    lines = [
        f"{pattern} {'.' * max(3, width - len(pattern) - len(decider) - 2)} {decider}"
        for pattern, decider in rows
    ]
    count = f"{len(rows)} rule" + ("s" if len(rows) > 1 else "")
    return [*lines, "", count]


def _decider(rule: Rule) -> str:
    decide = rule.decide
    while isinstance(decide, partial):
        decide = decide.func
    named = decide if hasattr(decide, "__qualname__") else type(decide)
    return f"{named.__module__}.{named.__qualname__}"
