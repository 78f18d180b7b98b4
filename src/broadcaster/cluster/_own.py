"""What this node has at its places, and what of it the others do not know yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from broadcaster.protocol.elsewhere import Change

__all__ = ["Own", "OwnShare", "Part"]

_USERS = 200


@dataclass(slots=True)
class OwnShare:
    """What we have at one place; the others were told at the time *at*, 0 where they know nothing."""

    count: int = 0
    members: dict[str, Any] = field(default_factory=dict)
    at: int = 0
    changed: set[str] = field(default_factory=set)
    """The users that came or went since the others were told."""
    tell: bool = False
    """Whether there may be nodes that watch the place."""
    is_known: bool = False
    """Whether it was written that somebody is here; a second time it is no news."""
    known: set[str] = field(default_factory=set)
    """The users of whom that was written."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a share that is to be told: up to some hundreds of users."""

    place: str
    share: OwnShare
    count: int
    came: dict[str, Any]
    gone: tuple[str, ...]


class Own:
    """The shares of this node, and in which order they are to be told."""

    def __init__(self) -> None:
        self._shares: dict[str, OwnShare] = {}
        self._untold: dict[str, None] = {}

    @property
    def is_told(self) -> bool:
        """Whether there is nothing to tell."""
        return not self._untold

    def report(self, place: str, change: Change, *, tell: bool) -> None:
        """Note what is new here."""
        share = self._shares.setdefault(place, OwnShare())
        share.count, share.tell = change.count, tell
        share.members.update(change.came)
        for user_id in change.gone:
            share.members.pop(user_id, None)
        share.changed.update(change.came, change.gone)
        self._untold[place] = None

    def begin(self, buried: int) -> None:
        """Have everything to tell, under a new name; *buried* where the others hold that all are gone."""
        for place, share in list(self._shares.items()):
            share.at = 0
            share.changed = set(share.members)
            if buried:
                share.is_known, share.known = False, set()
            if share.count:
                self._untold[place] = None
            else:
                del self._shares[place]
                self._untold.pop(place, None)

    def take(self, most: int) -> list[Part]:
        """Return what is to be told next, in about *most* parts at the most; it counts as told."""
        parts: list[Part] = []
        while self._untold and len(parts) < most:
            place = next(iter(self._untold))
            del self._untold[place]
            parts += self._parts(place, self._shares[place])
        return parts

    def told(self, part: Part, at: int) -> int:
        """Note that *part* was written at the time *at*; return the time of what was told before, or 0."""
        share = part.share
        before, share.at = share.at, at if part.count else 0
        share.is_known = part.count > 0
        share.known.update(part.came)
        share.known.difference_update(part.gone)
        if not share.count and part.place not in self._untold and self._shares.get(part.place) is share:
            del self._shares[part.place]
        return before

    def _parts(self, place: str, share: OwnShare) -> Iterator[Part]:
        changed, share.changed = sorted(share.changed), set()
        for start in range(0, max(1, len(changed)), _USERS):
            users = changed[start : start + _USERS]
            came = {user_id: share.members[user_id] for user_id in users if user_id in share.members}
            gone = tuple(user_id for user_id in users if user_id not in share.members)
            yield Part(place, share, share.count, came, gone)
