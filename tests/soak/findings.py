"""What a fault run found: as tables and as JSON, and whether what has to be 0 is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from benchmarks.report import Cell, Table

from tests.soak.accounts import Account, Record, Window, account
from tests.soak.crowd import KEPT

__all__ = ["Findings", "Struck"]

_OUTSIDE, _INSIDE = "outside the faults", "inside all of them"


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault, the *window* until all had recovered, and after how many seconds what was well again."""

    name: str
    window: Window
    first_back: float | None
    """The first client that had lost its connection was on its channels again; None if none had."""
    all_back: float | None
    ready: float
    whole: float
    lists: float

    @property
    def times(self) -> tuple[Cell, ...]:
        return tuple(
            "-" if seconds is None else f"{seconds:.1f}"
            for seconds in (self.first_back, self.all_back, self.ready, self.whole, self.lists)
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """What became of messages, by the number of the fault: *kept* are those on channels with a history."""

    struck: Sequence[Struck]
    plain: Mapping[int | None, Account]
    kept: Mapping[int | None, Account]
    mistakes: Sequence[str]
    """What cannot be true of lists of members."""
    problems: Sequence[str]
    """What else went wrong."""

    @classmethod
    def of(
        cls,
        struck: Sequence[Struck],
        sent: Mapping[str, Sequence[float]],
        records: Sequence[Record],
        *,
        seconds: float,
        mistakes: Sequence[str],
        problems: Sequence[str],
    ) -> Findings:
        """Compare what was *sent* with what *records* have; within so many *seconds* it is delivered."""
        windows = [one.window for one in struck]
        plain, kept = (
            account(
                {name: times for name, times in sent.items() if name.startswith(KEPT) is is_kept},
                records,
                windows,
                seconds=seconds,
            )
            for is_kept in (False, True)
        )
        return cls(struck, plain, kept, mistakes, problems)

    @property
    def tables(self) -> list[Table]:
        """The figures for a human."""
        return [
            Table(
                "seconds after the fault until",
                ("fault", "first client back", "all back", "nodes ready", "group whole", "lists right"),
                [(one.name, *one.times) for one in self.struck],
            ),
            Table(
                "messages on channels without a history",
                ("sent", "messages", "to deliver", "delivered", "lost", "connected", "most lost",
                 "duplicated", "most dup.", "slowest s"),
                [
                    (name, one.sent, one.expected, one.delivered, one.lost, one.lost_there, one.most_lost,
                     one.duplicated, one.most_duplicated, f"{one.slowest:.2f}")
                    for name, one in self._rows(self.plain)
                ],
            ),
            Table(
                "messages on channels with a history",
                ("sent", "messages", "to deliver", "delivered", "lost, told", "lost silently", "most lost",
                 "duplicated", "most dup.", "slowest s"),
                [
                    (name, one.sent, one.expected, one.delivered, one.lost - one.lost_silently,
                     one.lost_silently, one.most_lost, one.duplicated, one.most_duplicated,
                     f"{one.slowest:.2f}")
                    for name, one in self._rows(self.kept)
                ],
            ),
            Table("what has to be 0", ("what", "is"), list(self.zeros.items())),
        ]  # fmt: skip

    @property
    def zeros(self) -> dict[str, int]:
        """What has to be 0."""
        return {
            f"lost {_OUTSIDE}": self.plain[None].lost + self.kept[None].lost,
            f"duplicated {_OUTSIDE}": self.plain[None].duplicated + self.kept[None].duplicated,
            "lost silently with a history": sum(one.lost_silently for one in self.kept.values()),
            "duplicated with a history": sum(one.duplicated for one in self.kept.values()),
            "presence mistakes": len(self.mistakes),
            "other problems": len(self.problems),
        }

    @property
    def is_well(self) -> bool:
        """Whether that is so."""
        return not any(self.zeros.values())

    @property
    def json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "faults": [asdict(one) for one in self.struck],
            "plain": {name: asdict(one) for name, one in self._rows(self.plain)},
            "kept": {name: asdict(one) for name, one in self._rows(self.kept)},
            "zeros": self.zeros,
            "mistakes": list(self.mistakes),
            "problems": list(self.problems),
        }

    def _rows(self, accounts: Mapping[int | None, Account]) -> list[tuple[str, Account]]:
        inside = [(f"{place + 1}. {one.name}", accounts[place]) for place, one in enumerate(self.struck)]
        return [(_OUTSIDE, accounts[None]), *inside, (_INSIDE, _sum([one for _, one in inside]))]


def _sum(accounts: Sequence[Account]) -> Account:
    """Add up; what is the most stays the most."""
    return Account(
        **{
            field.name: (max if field.name.startswith(("most", "slowest")) else sum)(
                [getattr(one, field.name) for one in accounts] or [0]
            )
            for field in fields(Account)
        }
    )
