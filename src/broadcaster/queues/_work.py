"""Envelopes that one worker took together: in which groups they are delivered, and what became of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from broadcaster.messages import Message
from broadcaster.queues.envelopes import Envelope
from broadcaster.queues.outcomes import Outcome

__all__ = ["Group", "Job", "Work"]


@dataclass(frozen=True, slots=True)
class Job:
    """One envelope, and its *body* as it came; *number* is its place among those taken together."""

    number: int
    body: bytes
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Group:
    """What a driver gets at once."""

    driver: str
    jobs: Sequence[Job]

    @property
    def envelopes(self) -> list[Envelope]:
        """The envelopes, in order."""
        return [job.envelope for job in self.jobs]

    @property
    def messages(self) -> list[Message]:
        """The messages, in order."""
        return [job.envelope.message for job in self.jobs]

    def divided(self, count: int) -> tuple[Group, Group]:
        """Return the first *count* jobs, and the others."""
        return Group(self.driver, self.jobs[:count]), Group(self.driver, self.jobs[count:])


class Work:
    """What is to be done, and the *outcomes*: one for each job, in the order in which they were taken."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome | None] = []
        self._by_driver: dict[str, list[Job]] = {}
        self._alone: deque[Job] = deque()
        self._failing: set[str] = set()

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each; call it when nothing is left to do."""
        return [outcome for outcome in self._outcomes if outcome is not None]

    def add(self, body: bytes, envelope: Envelope) -> None:
        """Have one to deliver."""
        self._by_driver.setdefault(envelope.driver, []).append(Job(len(self._outcomes), body, envelope))
        self._outcomes.append(None)

    def settle(self, outcome: Outcome, job: Job | None = None) -> None:
        """Note what became of *job*, or of one that need not be delivered."""
        if job is None:
            self._outcomes.append(outcome)
        else:
            self._outcomes[job.number] = outcome

    def split(self, group: Group) -> None:
        """Have the jobs of *group* delivered one by one: not all of them need be at fault."""
        self._alone.extend(group.jobs)

    def go_on(self, group: Group) -> None:
        """Have the jobs of *group* delivered together, when those are done that go alone."""
        self._by_driver[group.driver] = list(group.jobs)

    def fails(self, driver: str) -> bool:
        """Note that *driver* failed, and return whether it had before, without a success since then."""
        failed, self._failing = driver in self._failing, self._failing | {driver}
        return failed

    def succeeds(self, driver: str) -> None:
        """Note that something was delivered by *driver*."""
        self._failing.discard(driver)

    def next(self) -> Group | None:
        """Return what is to be delivered next; None when that was all."""
        if self._alone:
            job = self._alone.popleft()
            return Group(job.envelope.driver, [job])
        if self._by_driver:
            driver = next(iter(self._by_driver))
            return Group(driver, self._by_driver.pop(driver))
        return None
