"""Names of channels with placeholders in them: `orders.{order_id}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from broadcaster.channels import Kind, kind_of
from broadcaster.errors import ConfigurationError

__all__ = ["Pattern"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ILLEGAL = re.compile(r"[^-a-zA-Z0-9_=@,.;]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """The *text* of a pattern, such as `orders.{order_id}`, and what it says.

    It is matched against a name without its prefix, from end to end; a placeholder stands for one
    character or more, none of them a dot. Raises `ConfigurationError` for a text that is no pattern.
    """

    text: str
    segments: tuple[_Segment, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern."""
        if (kind := kind_of(text)) is not Kind.PUBLIC:
            raise _wrong(
                text,
                f"a rule is for every kind of channel, so leave {kind.value!r} out: "
                f"{text.removeprefix(kind.value)!r}",
            )
        pattern = cls(text, tuple(_segment(text, part) for part in text.split(".")))
        names = pattern.placeholders
        if twice := {name for name in names if names.count(name) > 1}:
            raise _wrong(text, f"the placeholder {min(twice)!r} is there twice")
        return pattern

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names of the placeholders, from left to right."""
        return tuple(name for segment in self.segments for name in segment.names)

    def match(self, name: str) -> dict[str, str] | None:
        """Return what the placeholders stand for in *name*; None when it does not match."""
        parts = name.split(".")
        if len(parts) != len(self.segments):
            return None
        found: dict[str, str] = {}
        for segment, part in zip(self.segments, parts, strict=True):
            values = segment.match(part)
            if values is None:
                return None
            found.update(zip(segment.names, values, strict=True))
        return found

    def covers(self, other: Pattern) -> bool:
        """Whether every name that *other* matches is matched by this one too."""
        # A letter that no pattern holds stands for whatever a placeholder may: only another one takes it.
        return self.match(_PLACEHOLDER.sub("\0", other.text)) is not None

    def meets(self, other: Pattern) -> bool:
        """Whether some name is matched by both."""
        pairs = zip_longest(self.segments, other.segments)
        return all(mine and theirs and _meet(mine.shape, theirs.shape) for mine, theirs in pairs)


@dataclass(frozen=True, slots=True)
class _Segment:
    """What stands between two dots: placeholders, and the *literals* before, between and after them."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[str | None, ...]:
        """Its letters, with None for each placeholder."""
        first, *rest = self.literals
        return tuple(first) + tuple(letter for literal in rest for letter in (None, *literal))

    def match(self, part: str) -> list[str] | None:
        """Return what each placeholder stands for; the first ones take as much as they can."""
        # By hand, from the right, in one pass: several placeholders in a regular expression would try
        # every way to divide a long name among them.
        first, *between, last = self.literals if self.names else (*self.literals, "")
        if not self.names:
            return [] if part == first else None
        end = len(part) - len(last)
        if not part.startswith(first) or not part.endswith(last) or end <= len(first):
            return None
        values: list[str] = []
        for literal in reversed(between):
            # One character, at least, is left for the placeholder on the right.
            at = part.rfind(literal, len(first) + 1, end - 1)
            if at < 0:
                return None
            values.append(part[at + len(literal) : end])
            end = at
        return [*reversed([*values, part[len(first) : end]])]


def _segment(text: str, part: str) -> _Segment:
    literals, names = _PLACEHOLDER.split(part)[::2], _PLACEHOLDER.findall(part)
    for name in names:
        if not name.isidentifier():
            raise _wrong(text, f"{name!r} is no name for a placeholder")
    for literal in literals:
        if illegal := _ILLEGAL.search(literal):
            raise _wrong(text, f"no channel's name holds {illegal[0]!r}; a placeholder looks like {{id}}")
    if not all(literals[1:-1]):
        raise _wrong(text, "two placeholders need something between them, such as a dot")
    if not part:
        raise _wrong(text, "nothing stands before, between or after a dot")
    return _Segment(tuple(literals), tuple(names))


@lru_cache(maxsize=1024)
def _meet(mine: tuple[str | None, ...], theirs: tuple[str | None, ...]) -> bool:
    """Whether one text has both shapes, where None is one letter or more."""
    reached = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        i, j = waiting.pop()
        for step in _steps(mine, i, theirs, j):
            if step not in reached:
                reached.add(step)
                waiting.append(step)
    # A position counts in half steps: an odd one is inside a placeholder that has its first letter.
    return any(i // 2 + i % 2 == len(mine) and j // 2 + j % 2 == len(theirs) for i, j in reached)


def _steps(
    mine: tuple[str | None, ...], i: int, theirs: tuple[str | None, ...], j: int
) -> list[tuple[int, int]]:
    """Return where one more letter may lead, from two positions."""
    return [
        (k, m)
        for letter, k in _moves(mine, i)
        for other, m in _moves(theirs, j)
        if letter is None or other is None or letter == other
    ]


def _moves(shape: tuple[str | None, ...], at: int) -> list[tuple[str | None, int]]:
    """Return the letters that may come next, None being any, and where they lead."""
    moves: list[tuple[str | None, int]] = []
    index = at // 2
    if at % 2:
        moves.append((None, at))
        index += 1
    if index < len(shape):
        letter = shape[index]
        moves.append((letter, 2 * index + (1 if letter is None else 2)))
    return moves


def _wrong(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"pattern {text!r}: {reason}")
