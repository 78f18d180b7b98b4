"""The topics whose history a node follows, and how far: in one order, whatever comes when.

What is heard on the bus names the entry before it. Where that is not the one that was told last, something
was missed, and the history is read from there; so it is after the bus was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, KeysView, Sequence
from dataclasses import dataclass, field

from broadcaster.cluster.journal import Entry, Keeping, Progress, Recalled, Told

__all__ = ["Followed", "Look", "Topic"]

_MOST = 1_000


@dataclass(eq=False, slots=True)
class _Recall:
    """Those who want what came after *last_id*; *at* is what was told last when that was asked first."""

    last_id: str
    at: str
    answers: list[Recalled] = field(default_factory=list)
    trail: list[Entry] = field(default_factory=list)
    """What was told since."""
    found: Sequence[Entry] | None = None
    top: str = ""
    """The last id when it was found."""

    def is_whole(self) -> bool:
        """Whether what was found goes on where the trail does."""
        return self.top == self.at or any(entry.id == self.top for entry in self.trail)

    def whole(self) -> list[Entry]:
        """Return what was found, and what was told after that."""
        after = [] if self.top != self.at else self.trail
        for number, entry in enumerate(self.trail):
            if entry.id == self.top:
                after = self.trail[number + 1 :]
        return [*(self.found or ()), *after]


@dataclass(eq=False, slots=True)
class Topic:
    """One of the topics, and how far it was told; *ready* is called when that is known."""

    name: str
    keeping: Keeping
    ready: Callable[[str | None], None] | None
    at: str = ""
    """The id that was told last; nothing where that is not known."""
    looks: int = 0
    """How often it was looked at; only the last answer counts."""
    is_behind: bool = True
    """Whether an answer is awaited."""
    heard: list[Entry] = field(default_factory=list)
    """What was heard meanwhile."""
    since: float = 0.0
    """When the first of that was heard."""
    seen: dict[str, None] = field(default_factory=dict)
    """The ids of what was told because it was read, and may still be heard."""
    recalls: dict[str, _Recall] = field(default_factory=dict)
    """By the id after which something is wanted: after a break many may come back with the same."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look at what came *after* an id; it is the answer to it that `Followed.looked()` takes."""

    topic: Topic
    after: str
    number: int = 0
    recall: _Recall | None = None

    @property
    def name(self) -> str:
        """The topic."""
        return self.topic.name

    @property
    def keeping(self) -> Keeping:
        """How much is kept of it."""
        return self.topic.keeping


class Followed:
    """Tells what is new, in order; *now* tells the time in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.told: Told = _nobody
        self._now = now
        self._topics: dict[str, Topic] = {}
        self._to_look: dict[str, None] = {}
        self._to_recall: list[tuple[Topic, _Recall]] = []

    @property
    def is_known(self) -> bool:
        """Whether there is nothing to look at."""
        return not self._to_look and not self._to_recall

    @property
    def names(self) -> KeysView[str]:
        """Those of the topics."""
        return self._topics.keys()

    def add(self, name: str, keeping: Keeping, ready: Callable[[str | None], None]) -> None:
        """Follow a topic from now on."""
        self._topics[name] = Topic(name, keeping, ready)
        self._to_look[name] = None

    def remove(self, name: str) -> None:
        """Follow it no more."""
        self._topics.pop(name, None)
        self._to_look.pop(name, None)

    def release(self, name: str) -> Topic | None:
        """Return a topic for another one to adopt, and follow it no more; None where it is not followed."""
        topic = self._topics.get(name)
        self.remove(name)
        return topic

    def adopt(self, topic: Topic) -> None:
        """Follow a topic that was followed elsewhere, and go on where that ended."""
        self._topics[topic.name] = topic
        topic.is_behind = True
        self._to_look[topic.name] = None
        self._to_recall += [(topic, recall) for recall in topic.recalls.values()]

    def recall(self, name: str, last_id: str, recalled: Recalled) -> None:
        """Have what came after *last_id* to look at."""
        if (topic := self._topics.get(name)) is None:
            recalled(None)
            return
        if (recall := topic.recalls.get(last_id)) is None:
            recall = topic.recalls[last_id] = _Recall(last_id, topic.at)
            self._to_recall.append((topic, recall))
        recall.answers.append(recalled)

    def look_again(self) -> None:
        """Have all to look at that is behind."""
        self._to_look = {name: None for name, topic in self._topics.items() if topic.is_behind}

    def look_at_all(self) -> None:
        """Have all to look at."""
        for topic in self._topics.values():
            topic.is_behind = True
        self.look_again()

    def take(self, most: int) -> list[Look]:
        """Return up to *most* looks that are to be taken now."""
        looks = [
            Look(topic, recall.last_id, recall=recall)
            for topic, recall in self._to_recall[:most]
            if self._topics.get(topic.name) is topic and topic.recalls.get(recall.last_id) is recall
        ]
        del self._to_recall[:most]
        for name in [name for name, _ in zip(self._to_look, range(most), strict=False)]:
            del self._to_look[name]
            topic = self._topics[name]
            topic.looks += 1
            looks.append(Look(topic, topic.at, topic.looks))
        return looks

    def looked(self, look: Look, latest: str, entries: Sequence[Entry] | None) -> None:
        """Take what there was to see: the *latest* id, and *entries*, or None where some may be missing."""
        topic = look.topic
        if self._topics.get(topic.name) is not topic:
            return
        if (recall := look.recall) is not None:
            if topic.recalls.get(recall.last_id) is recall:
                recall.top, recall.found = latest, entries
                self._answer(topic, [recall], missed=entries is None)
                # What found more than was told gets its answer when that is told.
                if not topic.is_behind and recall.last_id in topic.recalls:
                    self._fall_behind(topic, [])
        elif look.number == topic.looks and topic.name not in self._to_look:
            self._catch_up(topic, latest, entries)

    def hear(self, name: str, entry: Entry) -> None:
        """Take what was heard of a topic."""
        if (topic := self._topics.get(name)) is None:
            # What nobody follows has no order here; that is better than nothing.
            self.told(name, Progress([entry], entry.id))
        elif entry.id in topic.seen:
            del topic.seen[entry.id]
        elif topic.is_behind:
            topic.since = topic.since if topic.heard else self._now()
            topic.heard.append(entry)
            if len(topic.heard) > _MOST:
                self._give_up(topic)
        elif entry.after == topic.at:
            # The bus is past them.
            topic.seen.clear()
            self._tell(topic, Progress([entry], entry.id))
        else:
            self._fall_behind(topic, [entry])

    def be_ready(self, patience: float) -> None:
        """Keep nobody waiting: nothing can be looked at now; what was heard is told after *patience*."""
        for topic in list(self._topics.values()):
            if (ready := topic.ready) is not None:
                topic.ready = None
                ready(None)
            self._answer(topic, list(topic.recalls.values()), missed=True)
            if topic.heard and self._now() - topic.since >= patience:
                self._give_up(topic)
        self._to_recall.clear()

    def _catch_up(self, topic: Topic, latest: str, entries: Sequence[Entry] | None) -> None:
        heard, topic.heard = topic.heard, []
        topic.is_behind = False
        if (ready := topic.ready) is not None:
            topic.ready, topic.at = None, latest
            ready(latest)
        elif entries is None:
            self._leap(topic, heard, latest)
            return
        elif entries:
            seen = [*topic.seen, *(entry.id for entry in entries)]
            topic.seen = dict.fromkeys(seen[-_MOST:])
            for entry in heard:
                topic.seen.pop(entry.id, None)
            self._tell(topic, Progress(entries, latest, late=True))
        self._go_on(topic, heard)
        if not topic.is_behind:
            for recall in [recall for recall in topic.recalls.values() if recall.top]:
                # What goes on nowhere now never will.
                self._answer(topic, [recall], missed=not recall.is_whole())

    def _go_on(self, topic: Topic, heard: Sequence[Entry]) -> None:
        """Tell what was heard meanwhile, as far as it is newer than what was read."""
        goes_on = False
        for number, entry in enumerate(heard):
            if entry.after == topic.at:
                goes_on = True
                self._tell(topic, Progress([entry], entry.id))
            elif goes_on:
                self._fall_behind(topic, heard[number:])
                return

    def _leap(self, topic: Topic, heard: Sequence[Entry], latest: str) -> None:
        """Go on with what was *heard*, since nobody can say what was missed before it."""
        for number, entry in enumerate(heard):
            if entry.id == topic.at:
                heard = heard[number + 1 :]
                break
        at = heard[-1].id if heard else latest
        self._tell(topic, Progress(heard, at, missed=True))
        if at != latest:
            self._fall_behind(topic, [])

    def _tell(self, topic: Topic, progress: Progress) -> None:
        topic.at = progress.latest
        self.told(topic.name, progress)
        for recall in list(topic.recalls.values()):
            recall.trail += progress.entries
            if progress.missed or len(recall.trail) > _MOST:
                self._answer(topic, [recall], missed=True)

    def _answer(self, topic: Topic, recalls: Iterable[_Recall], *, missed: bool) -> None:
        for recall in recalls:
            if missed or recall.is_whole():
                del topic.recalls[recall.last_id]
                found = None if missed else recall.whole()
                for answer in recall.answers:
                    answer(found)

    def _fall_behind(self, topic: Topic, heard: Sequence[Entry]) -> None:
        topic.is_behind, topic.heard, topic.since = True, list(heard), self._now()
        self._to_look[topic.name] = None

    def _give_up(self, topic: Topic) -> None:
        heard, topic.heard, topic.is_behind = topic.heard, [], False
        self._to_look.pop(topic.name, None)
        self._leap(topic, heard, heard[-1].id)


def _nobody(topic: str, progress: Progress) -> None:
    """Hear nothing yet."""
