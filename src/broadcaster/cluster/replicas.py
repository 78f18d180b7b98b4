"""What a node knows of the others at one place, each of which is sure of its own share only.

The shares come as a whole from where they are kept, and then by what the nodes tell. A clock that all share
tells which is older; a node that tells something names the time at which it told the last, so that nothing is
missed unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broadcaster.protocol.elsewhere import Change, Elsewhere

__all__ = ["News", "Replica", "Share", "token_of"]


@dataclass(frozen=True, slots=True)
class News:
    """What is new in the share of *node* at the time *at*; before it told something at the time *after*.

    *after* is 0 where it had no share.
    """

    node: str
    at: int
    after: int
    count: int
    came: Mapping[str, Any]
    gone: tuple[str, ...]


@dataclass(slots=True)
class Share:
    """What one node has: connections and users, as of the time *at*."""

    at: int
    count: int
    members: dict[str, Any] = field(default_factory=dict)


def token_of(node: str) -> str:
    """Return what stays of the name of a node when it takes another one, because its lease was lost."""
    return node.rpartition("-")[0]


class Replica:
    """The shares of the other nodes at one place, and what they are together."""

    def __init__(self) -> None:
        self._clock = 0
        self._shares: dict[str, Share] = {}
        self._users: dict[str, dict[str, Any]] = {}
        """Each user with its info, for each node that has it."""

    @property
    def nodes(self) -> set[str]:
        """The nodes that have a share."""
        return set(self._shares)

    def elsewhere(self, cached: str | None) -> Elsewhere:
        """Return what there is on all of them, and *cached*."""
        return Elsewhere(self._count, {user_id: _info(held) for user_id, held in self._users.items()}, cached)

    def look(self, clock: int, shares: Mapping[str, Share], *, hold: bool) -> Change:
        """Take the *shares* that were kept at the time *clock*; return what is new.

        With *hold* a node without a share may be about to come back with it, and keeps what it had.
        """
        before = set(self._users)
        tokens = {token_of(node) for node in shares}
        held = {node: share for node, share in self._shares.items() if hold and token_of(node) not in tokens}
        self._clock, self._shares = clock, {**held, **shares}
        self._users = {}
        for node, share in self._shares.items():
            for user_id, info in share.members.items():
                self._users.setdefault(user_id, {})[node] = info
        return self._change(before)

    def hear(self, news: News) -> Change | None:
        """Take what a node tells; return what is new, or None where something before it was missed."""
        share = self._shares.get(news.node)
        if news.at <= max(self._clock, 0 if share is None else share.at):
            return Change(self._count)
        if news.after != (0 if share is None else share.at):
            return None
        touched = {*news.came, *news.gone}
        former = [
            node for node in self._shares if node != news.node and token_of(node) == token_of(news.node)
        ]
        for node in former:
            touched.update(self._shares[node].members)
        before = touched & self._users.keys()
        for node in former:
            self._drop(node)
        self._take(news, share)
        return self._change(before, touched)

    def forget(self, nodes: frozenset[str]) -> Change:
        """Drop the shares of *nodes*; return what is new."""
        known = nodes & self._shares.keys()
        touched = {user_id for node in known for user_id in self._shares[node].members}
        for node in known:
            self._drop(node)
        return self._change(touched, touched)

    @property
    def _count(self) -> int:
        return sum(share.count for share in self._shares.values())

    def _take(self, news: News, share: Share | None) -> None:
        if share is None:
            share = self._shares[news.node] = Share(news.at, 0)
        share.at, share.count = news.at, news.count
        for user_id, info in news.came.items():
            share.members[user_id] = info
            self._users.setdefault(user_id, {})[news.node] = info
        for user_id in news.gone:
            self._leave(news.node, user_id)
        if not news.count:
            self._drop(news.node)

    def _drop(self, node: str) -> None:
        for user_id in list(self._shares[node].members):
            self._leave(node, user_id)
        del self._shares[node]

    def _leave(self, node: str, user_id: str) -> None:
        self._shares[node].members.pop(user_id, None)
        held = self._users.get(user_id, {})
        held.pop(node, None)
        if not held:
            self._users.pop(user_id, None)

    def _change(self, before: set[str], touched: set[str] | None = None) -> Change:
        new = (self._users.keys() if touched is None else touched & self._users.keys()) - before
        came = {user_id: _info(self._users[user_id]) for user_id in sorted(new)}
        gone = tuple(sorted(before - self._users.keys()))
        return Change(self._count, came, gone)


def _info(held: Mapping[str, Any]) -> Any:
    return next(iter(held.values()))
