"""Jobs that are held for a time: what a worker takes from, and gives an account to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from broadcaster.queues.envelopes import SPARE
from broadcaster.queues.outcomes import Outcome

__all__ = ["Held", "Leases", "Taken"]


@dataclass(frozen=True, slots=True)
class Held:
    """A job that was taken: its *id*, the *token* of this claim, and how often it was *lost* before.

    *tries* is how often it may be tried.
    """

    id: int
    token: int
    body: bytes = field(repr=False)
    lost: int
    tries: int

    @property
    def spent(self) -> bool:
        """Whether it has ended so many workers that no other shall have it."""
        return self.lost >= self.tries + SPARE


@dataclass(frozen=True, slots=True)
class Taken:
    """Jobs that were taken together from *queue*, in which there is *more* that is ready."""

    queue: str
    jobs: Sequence[Held]
    more: bool


class Leases(Protocol):
    """Where jobs wait, and are held for a time. Raises `DeliveryError` where that cannot be reached."""

    def next_due(self, queues: Sequence[str]) -> float | None:
        """Return in how many seconds something will be there to take; None when nothing waits at all."""
        ...

    def take(self, queues: Sequence[str], most: int) -> Taken | None:
        """Take up to *most* that are ready, for one driver, from the first of *queues* that has something."""
        ...

    def renew(self, jobs: Iterable[Held]) -> None:
        """Hold *jobs* longer, but for those that others hold by now."""
        ...

    def settle(self, ends: Iterable[tuple[Held, Outcome]]) -> int:
        """Be done with jobs, keep what failed, or have them wait again; return how many others hold by now.

        Of those, nothing is changed, and nothing kept.
        """
        ...

    def give_back(self, jobs: Iterable[Held]) -> None:
        """Let others take *jobs* at once."""
        ...
