"""The places that a node watches, and what it knows of the others there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broadcaster.cluster.replicas import News, Replica, Share
from broadcaster.protocol.elsewhere import Change, Elsewhere

__all__ = ["Look", "Watched"]

_MOST_NEWS = 1_000


@dataclass(slots=True, eq=False)
class _Place:
    name: str
    ready: Callable[[Elsewhere], None] | None
    replica: Replica = field(default_factory=Replica)
    looks: int = 0
    """How often it was looked at; only the last answer counts."""
    is_behind: bool = True
    """Whether an answer is awaited."""
    news: list[News] = field(default_factory=list)
    """What was told meanwhile, which may be newer than the answer."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a place; it is the answer to it that `Watched.looked()` takes."""

    place: _Place
    number: int

    @property
    def name(self) -> str:
        """The place."""
        return self.place.name


class Watched:
    """What the other nodes have, by place; *learned* hears what is new, from when a place is ready."""

    def __init__(self) -> None:
        self.learned: Callable[[str, Change], None] = _nothing
        self._places: dict[str, _Place] = {}
        self._to_look: dict[str, None] = {}
        self._nodes: set[str] = set()

    @property
    def is_known(self) -> bool:
        """Whether no place is to be looked at."""
        return not self._to_look

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that have been met, and not forgotten."""
        return frozenset(self._nodes)

    def add(self, name: str, ready: Callable[[Elsewhere], None]) -> None:
        """Watch a place from now on."""
        self._places[name] = _Place(name, ready)
        self._to_look[name] = None

    def remove(self, name: str) -> None:
        """Watch it no more."""
        self._places.pop(name, None)
        self._to_look.pop(name, None)

    def look_at_all(self) -> None:
        """Have all to look at."""
        self._to_look = dict.fromkeys(self._places)
        for place in self._places.values():
            place.is_behind = True

    def take(self, most: int) -> list[Look]:
        """Return up to *most* looks that are to be taken now."""
        names = [name for name, _ in zip(self._to_look, range(most), strict=False)]
        looks: list[Look] = []
        for name in names:
            del self._to_look[name]
            place = self._places[name]
            place.looks += 1
            looks.append(Look(place, place.looks))
        return looks

    def looked(
        self, look: Look, clock: int, shares: Mapping[str, Share], cached: str | None, *, hold: bool
    ) -> None:
        """Take what there was to see; see `Replica.look()`."""
        place = look.place
        is_last = look.number == place.looks and look.name not in self._to_look
        if self._places.get(look.name) is not place or not is_last:
            return
        place.is_behind = False
        self._nodes.update(shares)
        change = place.replica.look(clock, shares, hold=hold)
        news, place.news = place.news, []
        if place.ready is not None:
            self._be_ready(place, cached)
        else:
            self.learned(place.name, Change(change.count, change.came, change.gone, cached))
        for each in news:
            self.hear(place.name, each)

    def hear(self, name: str, news: News) -> None:
        """Take what a node told of a place."""
        if (place := self._places.get(name)) is None:
            return
        if place.is_behind:
            if len(place.news) < _MOST_NEWS:
                place.news.append(news)
            else:
                place.news.clear()
                self._to_look[name] = None
            return
        self._nodes.add(news.node)
        change = place.replica.hear(news)
        if change is None:
            place.is_behind = True
            self._to_look[name] = None
        else:
            self.learned(name, change)

    def forget(self, nodes: frozenset[str]) -> None:
        """Drop what *nodes* had."""
        if gone := nodes & self._nodes:
            self._nodes -= gone
            for place in self._places.values():
                if place.replica.nodes & gone:
                    self.learned(place.name, place.replica.forget(gone))

    def be_ready(self) -> None:
        """Keep nobody waiting: nothing new can be seen now."""
        for place in self._places.values():
            self._be_ready(place, None)

    def _be_ready(self, place: _Place, cached: str | None) -> None:
        if (ready := place.ready) is not None:
            place.ready = None
            ready(place.replica.elsewhere(cached))


def _nothing(name: str, change: Change) -> None:
    """Hear nothing yet."""
