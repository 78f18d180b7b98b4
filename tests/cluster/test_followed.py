from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.cluster._followed import Followed, Look
from broadcaster.cluster.journal import Entry, Keeping, Progress

KEEPING = Keeping(events=4, seconds=60, window=60)
TOPIC = "orders"


class Follower:
    """A topic that is followed, its history, a bus that may lose what is on it, and looks on their way."""

    def __init__(self, *, keeps: int) -> None:
        self.now = 0.0
        self.followed, self._elsewhere = Followed(lambda: self.now), Followed(lambda: self.now)
        self.followed.told = self._elsewhere.told = self._told
        self.ids = ["0-0"]
        self.bus: deque[Entry] = deque()
        self.looks: deque[tuple[Followed, Look, str, list[Entry] | None]] = deque()
        self.at = ""
        self.told: list[str] = []
        self.gaps = self.recalled = self.lost = 0
        self._keeps = keeps
        self.followed.add(TOPIC, KEEPING, self._begin)

    def add(self) -> None:
        entry = Entry(f"{len(self.ids)}-0", self.ids[-1], b"{}")
        self.ids.append(entry.id)
        self.bus.append(entry)

    def deliver(self) -> None:
        if self.bus:
            self.followed.hear(TOPIC, self.bus.popleft())

    def lose(self) -> None:
        self.bus.clear()
        self.followed.look_at_all()

    def look(self) -> None:
        """Have the looks that are wanted reach the history."""
        for look in self.followed.take(10):
            kept = self.ids[-self._keeps - 1 :]
            found = None
            if look.after in kept:
                after = kept[kept.index(look.after) :]
                found = [Entry(one, before, b"{}") for before, one in pairwise(after)]
            self.looks.append((self.followed, look, self.ids[-1], found))

    def answer(self) -> None:
        if self.looks:
            followed, look, latest, found = self.looks.popleft()
            followed.looked(look, latest, found)

    def move(self) -> None:
        """Follow it elsewhere; what was looked at before is answered where it was."""
        topic = self.followed.release(TOPIC)
        assert topic is not None
        self._elsewhere.adopt(topic)
        self.followed, self._elsewhere = self._elsewhere, self.followed

    def recall(self, number: int) -> None:
        last_id = self.ids[number % len(self.ids)]

        def recalled(found: Sequence[Entry] | None) -> None:
            self.recalled += 1
            if found is None:
                self.lost += 1
            else:
                # Whoever goes on from here misses nothing, and hears nothing twice.
                after = self.ids[self.ids.index(last_id) + 1 : self.ids.index(self.at) + 1]
                assert [entry.id for entry in found] == after

        self.followed.recall(TOPIC, last_id, recalled)

    def settle(self) -> None:
        while self.bus or self.looks or not self.followed.is_known:
            self.deliver()
            self.look()
            self.answer()

    def _begin(self, latest: str | None) -> None:
        self.at = latest or ""

    def _told(self, topic: str, progress: Progress) -> None:
        for entry in progress.entries:
            assert entry.id not in self.told, "it came twice"
            assert progress.missed or entry.after == self.at, "one was left out"
            self.told.append(entry.id)
            self.at = entry.id
        self.gaps += progress.missed
        self.at = progress.latest


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "add", "add", "deliver", "deliver", "lose", "look", "answer", "recall", "move"]
        ),
        st.integers(0, 50),
    ),
    max_size=80,
)


def play(follower: Follower, steps: list[tuple[str, int]]) -> int:
    """Do all of it, until there is nothing more to do; return how often something was recalled."""
    recalls = 0
    follower.settle()
    for what, number in steps:
        if what == "recall":
            recalls += 1
            follower.recall(number)
        else:
            getattr(follower, what)()
    follower.settle()
    return recalls


@given(STEPS)
def test_whatever_comes_when_all_is_told_in_order_and_nothing_twice(steps: list[tuple[str, int]]) -> None:
    follower = Follower(keeps=100)

    recalls = play(follower, steps)

    assert follower.at == follower.ids[-1]
    assert follower.told == follower.ids[len(follower.ids) - len(follower.told) :]
    assert (follower.gaps, follower.recalled, follower.lost) == (0, recalls, 0)


@given(STEPS)
def test_where_the_history_is_too_short_there_is_a_gap(steps: list[tuple[str, int]]) -> None:
    follower = Follower(keeps=2)

    recalls = play(follower, steps)

    assert follower.at == follower.ids[-1]
    assert follower.recalled == recalls


def test_what_was_read_before_it_is_heard_is_not_told_again_beside_a_gap() -> None:
    follower = Follower(keeps=2)
    follower.settle()
    follower.lose()
    for _ in range(2):
        follower.add()
    follower.look()
    for _ in range(3):
        follower.add()
    follower.answer()
    assert follower.told == ["1-0", "2-0"]

    follower.settle()

    assert follower.told == [f"{number}-0" for number in range(1, 6)]
    assert follower.gaps == 0


def test_those_who_come_back_with_the_same_id_are_one_look() -> None:
    follower = Follower(keeps=100)
    follower.settle()
    follower.add()
    follower.settle()

    for _ in range(1_000):
        follower.recall(0)

    assert len(follower.followed.take(10_000)) == 1


def test_what_is_heard_while_nothing_can_be_read_is_told_after_a_while() -> None:
    follower = Follower(keeps=100)
    follower.settle()
    follower.add()
    follower.lose()
    follower.add()
    follower.deliver()

    follower.now = 4.0
    follower.followed.be_ready(5.0)
    assert follower.told == []
    follower.now = 5.0
    follower.followed.be_ready(5.0)

    assert (follower.told, follower.gaps) == (["2-0"], 1)
    follower.add()
    follower.settle()
    assert (follower.told, follower.gaps) == (["2-0", "3-0"], 1)


def test_what_is_heard_meanwhile_is_bounded() -> None:
    follower = Follower(keeps=5_000)
    follower.settle()
    follower.lose()

    for _ in range(1_001):
        follower.add()
        follower.deliver()

    assert (len(follower.told), follower.gaps) == (1_001, 1)


def test_what_nobody_follows_is_told_as_it_comes() -> None:
    follower = Follower(keeps=100)
    follower.settle()
    follower.followed.remove(TOPIC)

    follower.add()
    follower.deliver()

    assert follower.told == ["1-0"]


def test_what_the_bus_swallows_is_read_when_the_next_one_does_not_go_on() -> None:
    follower = Follower(keeps=100)
    follower.settle()
    follower.lose()
    follower.look()
    for number in range(3):
        follower.add()
        if number == 1:
            follower.bus.pop()
        follower.deliver()

    follower.answer()
    assert follower.told == ["1-0"]
    follower.settle()

    assert (follower.told, follower.gaps) == (["1-0", "2-0", "3-0"], 0)
